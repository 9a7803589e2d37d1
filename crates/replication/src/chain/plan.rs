//! Which ranges a copy still has to compare or to send. First coarse outlines of everything, one after the
//! other; a coarse piece that differs is outlined finely; a fine piece that differs is sent. So what goes
//! over the network is in proportion to what differs, and the work that is remembered is bounded: two depths,
//! [`types::rows::PIECES_MAX`] ranges in each.

use super::message::Step;
use types::{Found, RowRange};

/// How large the pieces of an outline are to be. The surroundings say what that is in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grain {
    /// So large that an outline of everything costs next to nothing.
    Coarse,
    /// So small that sending one for the sake of a single row costs little.
    Fine,
}

/// What the sender of a copy wants to read next, from its snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Want {
    /// The beginning of a range, in short.
    Outline {
        /// Which.
        range: RowRange,
        /// In how large pieces.
        grain: Grain,
    },
    /// The first rows of a range.
    Rows(RowRange),
    /// What the snapshot is of.
    End,
}

#[derive(Debug)]
pub(super) struct Plan {
    /// The next one last. In the order of keys: each begins where the one after it in here ends, or later.
    todo: Vec<Want>,
}

impl Plan {
    pub(super) fn new() -> Plan {
        Plan { todo: vec![Want::Outline { range: RowRange::default(), grain: Grain::Coarse }] }
    }

    pub(super) fn next(&mut self) -> Want {
        self.todo.pop().unwrap_or(Want::End)
    }

    /// What was wanted became that step: the rest of the range comes after it.
    pub(super) fn read(&mut self, want: &Want, step: &Step) {
        let (range, upto) = match (want, step) {
            (Want::Outline { range, .. }, Step::Outline { pieces, .. }) => {
                (range, pieces.last().and_then(|p| p.upto.clone()))
            }
            (Want::Rows(range), Step::Rows { range: sent, .. }) => (range, sent.upto.clone()),
            _ => return,
        };
        if upto.is_none() || upto == range.upto {
            return;
        }
        let range = RowRange { after: upto, upto: range.upto.clone() };
        self.todo.push(match want {
            Want::Outline { grain, .. } => Want::Outline { range, grain: *grain },
            _ => Want::Rows(range),
        });
    }

    /// What the receiver has where that outline was given.
    pub(super) fn found(&mut self, want: &Want, step: &Step, found: Found) {
        let (Want::Outline { grain, .. }, Step::Outline { after, pieces }) = (want, step) else { return };
        if found.nothing {
            // From here on it is a full copy: there is nothing to compare with.
            self.todo.clear();
            return self.todo.push(Want::Rows(RowRange { after: after.clone(), upto: None }));
        }
        let differing = (0..pieces.len()).filter(|at| found.differs(*at)).count();
        // Where most of it differs a second look would not spare much.
        let send = *grain == Grain::Fine || differing * 2 > pieces.len();
        let mut runs: Vec<RowRange> = Vec::new();
        let mut after = after.clone();
        let mut adjacent = false;
        for (at, piece) in pieces.iter().enumerate() {
            match runs.last_mut() {
                Some(run) if found.differs(at) && adjacent => run.upto = piece.upto.clone(),
                _ if found.differs(at) => runs.push(RowRange { after: after.clone(), upto: piece.upto.clone() }),
                _ => {}
            }
            adjacent = found.differs(at);
            after = piece.upto.clone();
        }
        let want = |range| if send { Want::Rows(range) } else { Want::Outline { range, grain: Grain::Fine } };
        self.todo.extend(runs.into_iter().rev().map(want));
    }
}
