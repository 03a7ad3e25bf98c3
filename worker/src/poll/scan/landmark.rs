//! What is looked for after a damaged element, so that reading finds its way back.

/// How far the surroundings of a damaged element's end have been seen: `} , { "` or `} ] }` or
/// `} ] , "`. Positions are those of the chunk's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Landmark {
    None,
    Closed { end: usize },
    Comma { end: usize },
    Opened { end: usize, start: usize },
    ListClosed { end: usize },
    ListComma { end: usize },
}

impl Landmark {
    /// The same after this many bytes before the element are gone.
    pub(super) fn moved(self, by: usize) -> Self {
        match self {
            Self::None => Self::None,
            Self::Closed { end } => Self::Closed { end: end - by },
            Self::Comma { end } => Self::Comma { end: end - by },
            Self::Opened { end, start } => Self::Opened { end: end - by, start: start - by },
            Self::ListClosed { end } => Self::ListClosed { end: end - by },
            Self::ListComma { end } => Self::ListComma { end: end - by },
        }
    }
}
