//! The words that the service answers with, against the words that were expected.

use serde::Serialize;

use crate::basis::Pair;
use crate::statistics::Proportion;
use crate::word::Word;

/// Confusion of expected and given words.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Rules {
    /// The words that were expected or given, in the contract's order: rows and columns of `counts`.
    pub words: Vec<Word>,
    /// `counts[expected][given]`: number of pictures.
    pub counts: Vec<Vec<u64>>,
    /// Share of pictures whose given word is the expected one.
    pub agreement: Proportion,
    /// Each word by itself, in the order of `words`.
    pub by_word: Vec<WordFigures>,
}

/// How well one word is given.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct WordFigures {
    /// The word.
    pub word: Word,
    /// Share of the pictures that expect the word and are given it.
    pub recall: Option<Proportion>,
    /// Share of the pictures that are given the word and expect it.
    pub precision: Option<Proportion>,
}

impl Rules {
    /// `None` when no answered picture has an expected word. `pairs` includes the pictures whose bytes are no
    /// picture, as the service answers these with a word too.
    pub(crate) fn compute(pairs: &[Pair<'_>]) -> Option<Self> {
        let answers: Vec<(Word, Word)> =
            pairs.iter().filter_map(|pair| Some((pair.label.expected?, pair.outcome.word))).collect();
        let agreement = Proportion::of(&answers, |(expected, given)| expected == given)?;
        let occurs = |word: &Word| answers.iter().any(|(expected, given)| expected == word || given == word);
        let words: Vec<Word> = Word::ALL.into_iter().filter(occurs).collect();
        let count = |expected, given| answers.iter().filter(|answer| **answer == (expected, given)).count() as u64;
        Some(Self {
            counts: words.iter().map(|&expected| words.iter().map(|&given| count(expected, given)).collect()).collect(),
            by_word: words
                .iter()
                .map(|&word| WordFigures {
                    word,
                    recall: Proportion::of(answers.iter().filter(|(expected, _)| *expected == word), |(_, given)| {
                        *given == word
                    }),
                    precision: Proportion::of(answers.iter().filter(|(_, given)| *given == word), |(expected, _)| {
                        *expected == word
                    }),
                })
                .collect(),
            words,
            agreement,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels::LabelledPicture;
    use crate::outcomes::Outcome;

    #[test]
    fn expected_words_are_rows_and_given_words_columns() {
        use Word::{FaceCropped, FaceTooClose, Ok};
        let answers = [(Ok, Ok), (Ok, FaceTooClose), (FaceTooClose, FaceTooClose), (FaceCropped, FaceTooClose)];
        let labels: Vec<LabelledPicture> = answers
            .iter()
            .map(|&(expected, _)| LabelledPicture { expected: Some(expected), ..LabelledPicture::default() })
            .collect();
        let outcomes: Vec<Outcome> = answers.iter().map(|&(_, given)| Outcome::new("p", given)).collect();
        let pairs: Vec<Pair<'_>> =
            labels.iter().zip(&outcomes).map(|(label, outcome)| Pair { label, outcome }).collect();
        let rules = Rules::compute(&pairs).expect("expected words");
        assert_eq!(rules.words, [Ok, FaceCropped, FaceTooClose]);
        assert_eq!(rules.counts, [[1, 0, 1], [0, 0, 1], [0, 0, 1]]);
        assert_eq!((rules.agreement.count, rules.agreement.total), (2, 4));
        let too_close = rules.by_word[2];
        assert_eq!(too_close.recall.map(|share| (share.count, share.total)), Some((1, 1)));
        assert_eq!(too_close.precision.map(|share| (share.count, share.total)), Some((1, 3)));
        assert_eq!(rules.by_word[1].precision, None, "FACE_CROPPED was never given");
    }

    #[test]
    fn figures_without_an_expected_word_are_absent() {
        assert_eq!(Rules::compute(&[]), None);
    }
}
