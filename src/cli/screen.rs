//! Standard error, shared by progress bars, logs and errors so that none tears another.

use std::io::{self, Write};
use std::sync::Arc;

use indicatif::MultiProgress;

/// Cheap to clone.
#[derive(Debug, Clone)]
pub struct Screen(Arc<MultiProgress>);

impl Default for Screen {
    fn default() -> Self {
        Self(Arc::new(MultiProgress::new()))
    }
}

impl Screen {
    /// Writes one line above the bars.
    pub fn line(&self, text: &str) {
        // Standard error that is gone leaves nobody to tell.
        self.0.suspend(|| writeln!(io::stderr(), "{text}").ok());
    }

    #[must_use]
    pub fn bars(&self) -> &MultiProgress {
        &self.0
    }
}
