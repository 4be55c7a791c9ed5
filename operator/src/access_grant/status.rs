//! What is said of a grant, and what its status remembers. Pure.

use headworks_crds::{AccessGrant, AccessGrantStatus, GrantedStream};

use super::rotation::{Known, Slot};

/// A status names at most so many streams.
const MAX_STREAMS: usize = 128;

/// What is said of a grant that is given. `note`: what is to be said of how the client's namespace accepts it.
pub fn said(grant: &AccessGrant, status: &AccessGrantStatus, note: Option<String>) -> String {
    let streams: Vec<String> = status
        .streams
        .iter()
        .map(|s| format!("{} {}", s.access.to_lowercase(), s.topic))
        .collect();
    let dead_letters = if status.dead_letters {
        ", and the dead letters of what it reads"
    } else {
        ""
    };
    let message = format!(
        "user {} may {}{dead_letters}; its credentials are in Secret {}/{}",
        status.user.as_deref().unwrap_or_default(),
        streams.join(", "),
        grant.spec.to.namespace,
        status.secret.as_deref().unwrap_or_default()
    );
    match note {
        Some(note) => format!("{message}. {note}"),
        None => message,
    }
}

/// What the status says of the user in the Secret, where both are known.
pub fn known(status: &AccessGrantStatus, slot: Option<Slot>) -> Option<Known> {
    Some(Known {
        slot: slot?,
        since: status.rotated_at.as_ref()?.parse().ok()?,
    })
}

/// What is about to be given belongs to what must be taken away again, also if it is cut short.
pub fn note_streams(status: &mut AccessGrantStatus, streams: &[GrantedStream]) {
    let fresh: Vec<GrantedStream> = streams
        .iter()
        .filter(|stream| !status.streams.contains(stream))
        .cloned()
        .collect();
    status.streams.extend(fresh);
    status.streams.truncate(MAX_STREAMS);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_being_given_is_noted_before_so_that_it_can_be_taken_away_if_that_is_cut_short() {
        let stream = |name: String| GrantedStream {
            topic: format!("shop.{name}"),
            stream: name,
            access: "Read".into(),
            derived: None,
        };
        let has = |names: &[&str]| -> Vec<GrantedStream> {
            names.iter().map(|n| stream((*n).to_owned())).collect()
        };
        let mut status = AccessGrantStatus {
            streams: has(&["a", "b"]),
            ..AccessGrantStatus::default()
        };
        note_streams(&mut status, &has(&["b", "c"]));
        assert_eq!(status.streams, has(&["a", "b", "c"]));
        let many: Vec<_> = (0..200).map(|n| stream(format!("s{n}"))).collect();
        note_streams(&mut status, &many);
        assert_eq!(status.streams.len(), MAX_STREAMS);
    }

    #[test]
    fn the_status_bears_a_secret_out_only_where_it_has_both_user_and_time() {
        let status = |at: Option<&str>| AccessGrantStatus {
            rotated_at: at.map(str::to_owned),
            ..AccessGrantStatus::default()
        };
        let at = "2027-01-01T00:00:00Z";
        assert_eq!(known(&status(Some(at)), None), None);
        assert_eq!(known(&status(None), Some(Slot::A)), None);
        let known = known(&status(Some(at)), Some(Slot::B)).unwrap();
        assert_eq!((known.slot, known.since), (Slot::B, at.parse().unwrap()));
    }
}
