//! The columns that a list of labels may have.

use std::fmt;

/// A column of `LABELS.csv`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Column {
    /// `path`
    Path,
    /// `liveness`
    Liveness,
    /// `age`
    Age,
    /// `gender`
    Gender,
    /// `expected`
    Expected,
    /// `x`
    X,
    /// `y`
    Y,
    /// `w`
    W,
    /// `h`
    H,
    /// `yaw`
    Yaw,
    /// `pitch`
    Pitch,
    /// `roll`
    Roll,
    /// `group`
    Group,
}

impl Column {
    /// Every column.
    pub const ALL: [Self; 13] = [
        Self::Path,
        Self::Liveness,
        Self::Age,
        Self::Gender,
        Self::Expected,
        Self::X,
        Self::Y,
        Self::W,
        Self::H,
        Self::Yaw,
        Self::Pitch,
        Self::Roll,
        Self::Group,
    ];

    pub(super) const BOX: [Self; 4] = [Self::X, Self::Y, Self::W, Self::H];

    /// The name in the first line of the CSV.
    pub fn name(self) -> &'static str {
        match self {
            Self::Path => "path",
            Self::Liveness => "liveness",
            Self::Age => "age",
            Self::Gender => "gender",
            Self::Expected => "expected",
            Self::X => "x",
            Self::Y => "y",
            Self::W => "w",
            Self::H => "h",
            Self::Yaw => "yaw",
            Self::Pitch => "pitch",
            Self::Roll => "roll",
            Self::Group => "group",
        }
    }

    /// The column with that name, or with the other name that data sets give to it.
    pub(super) fn named(name: &str) -> Option<Self> {
        let name = if name == "series" { Self::Group.name() } else { name };
        Self::ALL.into_iter().find(|column| column.name() == name)
    }

    /// The column that may have been meant: at most a third of whose letters are wrong.
    pub(super) fn meant(name: &str) -> Option<Self> {
        let wrong = |column: Self| strsim::osa_distance(column.name(), name);
        Self::ALL
            .into_iter()
            .filter(|column| wrong(*column) * 3 <= column.name().len())
            .min_by_key(|column| wrong(*column))
    }
}

impl fmt::Display for Column {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}
