//! Orientation: which way round a picture without a sure upright face is.

use super::{FaceFinder, Facing, FurtherScale, Search, main_of};
use crate::inference::InferenceError;
use picture_cell::Orientation;

/// By how much the log-odds of a turned face must exceed those of the upright one: people hold their heads upright more
/// often.
const TURN_GAIN: f32 = 1.0;

/// A turned face needs landmarks: covered faces hardly ever lie on their side, and hands look like faces from one side or
/// another.
const TURNED_PRESENCE: f32 = 0.5;

/// Of each turn so many proposals are weighed, the surest first.
const MOST_WEIGHED: usize = 2;

/// The turns, by the clockwise degrees that bring the head upright.
const TURNS: [(u16, Orientation); 3] =
    [(90, Orientation::QUARTER), (270, Orientation::THREE_QUARTERS), (180, Orientation::HALF)];

impl FaceFinder {
    /// Searches for faces that lie on their side or upside down, and takes the turn whose surest face beats the upright one's,
    /// which has these log-odds. Beside it further faces are looked for as in an upright picture.
    pub(super) fn turned(&mut self, search: &mut Search<'_>, upright: f32) -> Result<Option<Facing>, InferenceError> {
        let mut best = None;
        let mut least = upright + TURN_GAIN;
        for scale in FurtherScale::ALL {
            for (rotation, turn) in TURNS {
                let upright = search.picture.orientation.then(turn);
                let mut proposals = self.propose_further(search, scale, upright)?;
                proposals.retain(|proposal| proposal.score >= self.settings.weak_score);
                proposals.truncate(MOST_WEIGHED);
                let weighed = self.confirm(search, upright, &proposals)?;
                let Some(main) = main_of(&weighed.faces) else { continue };
                let evidence = &weighed.faces[main].face.evidence;
                if evidence.presence >= TURNED_PRESENCE && evidence.log_odds() > least {
                    least = evidence.log_odds();
                    best = Some((rotation, upright, weighed));
                }
            }
            if best.is_some() {
                break;
            }
        }
        let Some((rotation, upright, mut weighed)) = best else { return Ok(None) };
        let proposals = self.propose(search.picture, &search.first, upright)?;
        self.look_beside(search, upright, &mut weighed, proposals)?;
        Ok(Some(Facing { rotation, upright, faces: weighed.faces, elsewhere: Vec::new() }))
    }
}
