//! Bodies packed with gzip, inflated while they come.
//!
//! A megabyte of gzip can hold a gigabyte, so the limit is kept for what comes out, and before it is
//! kept: the decoder hands over some kilobytes at a time, and the first that passes the limit ends it.

use std::fmt;
use std::io::{self, Write};

use flate2::write::MultiGzDecoder;

use super::refusal::Refusal;
use super::room::Place;

/// So many packed bytes are inflated at a time: at most about 4 MiB come out of them.
pub(super) const PIECE: usize = 4 * 1024;
/// After so many bytes others are let run.
pub(super) const REST: usize = 256 * 1024;
/// The least that is allocated.
const LEAST: usize = 1024;

/// Why a body can't be inflated.
#[derive(Debug)]
pub(super) enum Fault {
    /// More comes out than the limit.
    TooLarge,
    /// There is no room for it now.
    Refused(Refusal),
    /// It isn't gzip, or not the whole of it.
    Corrupt,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fault::TooLarge => "the body inflates to more than the limit",
            Fault::Refused(refusal) => refusal.message(),
            Fault::Corrupt => {
                "the body isn't whole gzip: it is cut off or damaged, or isn't gzip though Content-Encoding says so"
            }
        })
    }
}

/// Inflates a body piece by piece, one member or several.
pub(super) struct Inflater<'a> {
    decoder: MultiGzDecoder<Held<'a>>,
}

/// What came out so far, and the room it holds.
struct Held<'a> {
    inflated: Vec<u8>,
    limit: usize,
    place: &'a mut Place,
    fault: Option<Fault>,
}

impl<'a> Inflater<'a> {
    /// Lets out at most `limit` bytes, and holds room for them in `place`.
    pub(super) fn new(limit: usize, place: &'a mut Place) -> Inflater<'a> {
        Inflater {
            decoder: MultiGzDecoder::new(Held {
                inflated: Vec::new(),
                limit,
                place,
                fault: None,
            }),
        }
    }

    /// Bytes that came out so far.
    pub(super) fn len(&self) -> usize {
        self.decoder.get_ref().inflated.len()
    }

    /// Inflates `piece`. Not to be called again after a fault.
    pub(super) fn take(&mut self, piece: &[u8]) -> Result<(), Fault> {
        let written = self.decoder.write_all(piece);
        written.map_err(|_| self.fault())
    }

    /// All that came out.
    pub(super) fn finish(mut self) -> Result<Vec<u8>, Fault> {
        // Checks that the last member is whole, and its checksum.
        if self.decoder.try_finish().is_err() {
            return Err(self.fault());
        }
        Ok(std::mem::take(&mut self.decoder.get_mut().inflated))
    }

    fn fault(&mut self) -> Fault {
        let known = self.decoder.get_mut().fault.take();
        known.unwrap_or(Fault::Corrupt)
    }
}

impl Held<'_> {
    /// Room for `length` bytes in all; what is held is what is allocated.
    fn grow(&mut self, length: usize) -> Result<(), Fault> {
        if length > self.limit {
            return Err(Fault::TooLarge);
        }
        if length > self.inflated.capacity() {
            let capacity = (self.inflated.capacity() * 2).max(length).max(LEAST);
            let capacity = capacity.min(self.limit);
            self.place.hold(capacity).map_err(Fault::Refused)?;
            self.inflated.reserve_exact(capacity - self.inflated.len());
        }
        Ok(())
    }
}

impl Write for Held<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Err(fault) = self.grow(self.inflated.len() + bytes.len()) {
            // The first counts: the decoder may come again while it is dropped.
            self.fault.get_or_insert(fault);
            return Err(io::Error::other("refused"));
        }
        self.inflated.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::super::room::Room;
    use super::*;

    fn packed(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn inflate(packed: &[u8], limit: usize, piece: usize) -> Result<Vec<u8>, String> {
        let mut place = Room::new(1, 1, limit).enter(None).unwrap();
        let mut inflater = Inflater::new(limit, &mut place);
        for piece in packed.chunks(piece) {
            inflater.take(piece).map_err(|fault| fault.to_string())?;
        }
        inflater.finish().map_err(|fault| fault.to_string())
    }

    #[test]
    fn members_come_out_in_order_however_they_are_cut_into_pieces() {
        let text: Vec<u8> = (0..5_000_u32).flat_map(u32::to_be_bytes).collect();
        let two = [packed(&text[..7_000]), packed(b""), packed(&text[7_000..])].concat();
        for piece in [1, 2, 7, 4096, 1 << 20] {
            assert_eq!(inflate(&two, text.len(), piece).unwrap(), text, "{piece}");
        }
        assert_eq!(inflate(&packed(b""), 10, 4096).unwrap(), b"");
    }

    #[test]
    fn whatever_is_cut_off_or_damaged_is_refused() {
        let whole = packed(b"{\"id\":\"a\",\"amount\":1}");
        for end in 0..whole.len() {
            let said = inflate(&whole[..end], 1_000, 4096).unwrap_err();
            assert!(said.contains("isn't whole gzip"), "{end}: {said}");
        }
        // The checksum, and what follows the last member.
        for at in [whole.len() - 1, whole.len() - 8] {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            assert!(inflate(&damaged, 1_000, 4096).is_err(), "{at}");
        }
        assert!(inflate(&[&whole[..], b"rest"].concat(), 1_000, 4096).is_err());
    }

    #[test]
    fn a_gigabyte_in_a_megabyte_ends_at_the_limit_and_never_holds_more() {
        let bomb = packed(&vec![0; 16 << 20]).repeat(64);
        assert!(bomb.len() < 2 << 20);
        let limit = 3 << 20;
        let mut place = Room::new(1, 1, limit).enter(None).unwrap();
        let mut inflater = Inflater::new(limit, &mut place);
        let mut taken = 0;
        let fault = bomb
            .chunks(PIECE)
            .find_map(|piece| {
                taken += piece.len();
                inflater.take(piece).err()
            })
            .unwrap();
        assert!(matches!(fault, Fault::TooLarge), "{fault}");
        assert!(taken < 8 * 1024, "it was seen within the first pieces");
        assert!(inflater.decoder.get_ref().inflated.capacity() <= limit);
    }

    #[test]
    fn room_is_held_for_what_comes_out() {
        let room = Room::new(2, 2, 10_000);
        let (mut first, mut second) = (room.enter(None).unwrap(), room.enter(None).unwrap());
        let mut inflater = Inflater::new(9_000, &mut first);
        inflater.take(&packed(&[0; 9_000])).unwrap();
        assert_eq!(inflater.finish().unwrap().len(), 9_000);
        assert!(second.hold(1_001).is_err());
        let mut inflater = Inflater::new(9_000, &mut second);
        let taken = inflater.take(&packed(&[0; 5_000]));
        let fault = taken.and_then(|()| inflater.finish()).unwrap_err();
        assert!(matches!(fault, Fault::Refused(_)), "{fault}");
    }
}
