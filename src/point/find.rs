//! From what a person types to one recovery point.

use super::{Point, PointError, Points};

impl Points {
    /// `latest`, or the beginning of an id.
    ///
    /// # Errors
    /// When there is none, or more than one.
    pub fn find(&self, wanted: &str) -> Result<&Point, PointError> {
        if wanted == "latest" {
            return self.latest();
        }
        let missing = || PointError::NotFound { wanted: wanted.to_owned(), stack: self.stack.clone() };
        let wanted = wanted.to_ascii_lowercase();
        let found: Vec<&Point> = self
            .points
            .iter()
            .filter(|point| !wanted.is_empty() && point.id.to_string().starts_with(&wanted))
            .collect();
        match found.as_slice() {
            [] => Err(missing()),
            [point] => Ok(point),
            several => {
                let found = several.iter().map(|point| point.id.to_string()).collect();
                Err(PointError::Ambiguous { wanted, found })
            }
        }
    }

    /// The newest complete one.
    ///
    /// # Errors
    /// [`PointError::NoneComplete`].
    pub fn latest(&self) -> Result<&Point, PointError> {
        let none = || PointError::NoneComplete { stack: self.stack.clone() };
        self.points.iter().find(|point| point.is_complete()).ok_or_else(none)
    }
}
