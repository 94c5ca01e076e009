//! What turns the faults of calls on and off while a server serves.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether calls meet the faults that were asked for. All clones are one switch. A freeze is none of its business.
#[derive(Clone, Debug)]
pub struct Switch(Arc<AtomicBool>);

impl Switch {
    /// A switch that is off.
    pub fn off() -> Self {
        Self(Arc::new(AtomicBool::new(false)))
    }

    /// Whether it is on.
    pub fn is_on(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Turns it the other way, and says whether it is on now.
    pub fn turn(&self) -> bool {
        !self.0.fetch_not(Ordering::Relaxed)
    }
}

/// On: whoever asks for faults wants them, unless told otherwise.
impl Default for Switch {
    fn default() -> Self {
        Self(Arc::new(AtomicBool::new(true)))
    }
}

/// Both on, or both off.
impl PartialEq for Switch {
    fn eq(&self, other: &Self) -> bool {
        self.is_on() == other.is_on()
    }
}
