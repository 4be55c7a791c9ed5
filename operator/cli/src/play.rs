//! Playing records to a query that runs in memory, as they would come: those of one stream in their order, and of several
//! streams always the next one of the stream whose event time is least far. So reads a pod, which holds partitions back that
//! are ahead of the others (`maxDrift`); which file is named first is of no consequence.

use headworks_engine::local::{Local, LocalError, Sink};

/// Records of one stream.
pub trait Source<F> {
    /// Index of the stream among the query's.
    fn stream(&self) -> usize;
    /// The next record; none at the end.
    fn next(&mut self) -> Result<Option<&[u8]>, F>;
}

/// Why it ended early.
#[derive(Debug)]
pub enum Ended<F> {
    /// A source can't be read.
    Source(F),
    /// The run is over.
    Run(LocalError),
}

impl<F> From<LocalError> for Ended<F> {
    fn from(error: LocalError) -> Self {
        Self::Run(error)
    }
}

/// Plays all of it to its end; how many records there were. `streams`: how many the query reads.
pub fn play<'a, F>(
    run: &mut Local,
    streams: usize,
    mut sources: Vec<Box<dyn Source<F> + 'a>>,
    sink: &mut dyn Sink,
) -> Result<u64, Ended<F>> {
    // Nothing will come of a stream that has no source, so nobody waits for it.
    for stream in 0..streams {
        if sources.iter().all(|source| source.stream() != stream) {
            run.end(stream, sink)?;
        }
    }
    let mut played = 0;
    while !sources.is_empty() {
        let at = next(run, &sources, sink)?;
        let stream = sources[at].stream();
        if let Some(record) = sources[at].next().map_err(Ended::Source)? {
            run.push(stream, record, sink)?;
            played += 1;
            continue;
        }
        sources.remove(at);
        if sources.iter().all(|source| source.stream() != stream) {
            run.end(stream, sink)?;
        }
    }
    run.finish(sink)?;
    Ok(played)
}

/// The first of the sources whose stream is least far.
fn next<F>(
    run: &mut Local,
    sources: &[Box<dyn Source<F> + '_>],
    sink: &mut dyn Sink,
) -> Result<usize, LocalError> {
    let (mut least, mut at) = (None, 0);
    if sources.len() > 1 {
        for (index, source) in sources.iter().enumerate() {
            let mark = run.mark(source.stream(), sink)?;
            if index == 0 || mark < least {
                (least, at) = (mark, index);
            }
        }
    }
    Ok(at)
}
