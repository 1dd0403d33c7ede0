//! From what a person types to one recovery point.

use super::{Point, PointError, Points, State};

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
    /// [`PointError::NoneComplete`], or [`PointError::AllBroken`] where there was one once.
    pub fn latest(&self) -> Result<&Point, PointError> {
        let broken = self.points.iter().find_map(|point| match &point.state {
            State::Broken(why) => Some(why.clone()),
            State::Complete | State::Partial | State::Newer(_) => None,
        });
        let stack = self.stack.clone();
        let none = || match broken {
            Some(why) => PointError::AllBroken { stack, why },
            None => PointError::NoneComplete { stack },
        };
        self.points.iter().find(|point| point.is_complete()).ok_or_else(none)
    }
}
