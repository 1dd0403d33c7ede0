//! One field of an expression: `*`, `7`, `1-5`, `*/15`, `mon-fri`, and lists of them.

/// What a field may hold.
pub struct Field {
    /// For messages.
    name: &'static str,
    first: u32,
    last: u32,
    /// Words for the values from `first` on, of which case does not matter.
    words: &'static [&'static str],
}

pub const MINUTE: Field = Field { name: "minute", first: 0, last: 59, words: &[] };
pub const HOUR: Field = Field { name: "hour", first: 0, last: 23, words: &[] };
pub const DAY: Field = Field { name: "day of month", first: 1, last: 31, words: &[] };
pub const MONTH: Field = Field {
    name: "month",
    first: 1,
    last: 12,
    words: &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
};
/// Sunday is 0 and 7.
pub const WEEKDAY: Field =
    Field { name: "day of week", first: 0, last: 7, words: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"] };
const SUNDAY_TWICE: u64 = 1 << 7;

/// A field's values.
pub struct Parsed {
    /// One bit a value; of days of the week 7 is 0.
    pub values: u64,
    /// It begins with `*`, and so does not restrict in crontab(5)'s sense, `*/2` included.
    pub is_star: bool,
}

impl Field {
    /// # Errors
    /// What is wrong, with what is expected.
    pub fn parse(&self, text: &str) -> Result<Parsed, String> {
        let mut values = 0;
        for part in text.split(',') {
            values |= self.part(part)?;
        }
        if self.last == WEEKDAY.last && values & SUNDAY_TWICE != 0 {
            values = values & !SUNDAY_TWICE | 1;
        }
        Ok(Parsed { values, is_star: text.starts_with('*') })
    }

    fn part(&self, part: &str) -> Result<u64, String> {
        let (range, step) = part.split_once('/').map_or((part, None), |(range, step)| (range, Some(step)));
        let (from, to) = match range.split_once('-') {
            // Sunday once, as 0, so that `*/2` is every second day of a week and not also its end
            None if range == "*" => (self.first, if self.last == WEEKDAY.last { 6 } else { self.last }),
            None => {
                let value = self.value(range)?;
                if let Some(step) = step {
                    return Err(format!("`{part}`: a step needs a range; expected `{range}-{}/{step}`", self.last));
                }
                (value, value)
            }
            Some((from, to)) => (self.value(from)?, self.end(to)?),
        };
        if from > to {
            let hint = format!("{from}-{},{}-{to}", self.last, self.first);
            return Err(format!("`{part}`: the {} {from} comes after {to}; expected `{hint}`", self.name));
        }
        let step = match step {
            None => 1,
            Some(text) => self.step(text, part, to - from)?,
        };
        Ok((from..=to).step_by(step).fold(0, |bits, value| bits | 1 << value))
    }

    fn step(&self, text: &str, part: &str, span: u32) -> Result<usize, String> {
        let step = number(text).filter(|step| *step > 0);
        let step = step.ok_or_else(|| format!("`{part}`: `{text}` is no step; expected a number from 1"))?;
        if step > span {
            let first = part.split(['-', '/', '*']).next().filter(|text| !text.is_empty());
            let first = first.map_or_else(|| self.first.to_string(), str::to_owned);
            let name = self.name;
            return Err(format!(
                "`{part}`: no second {name} is a step of {step} away; expected `{first}` for that alone"
            ));
        }
        Ok(step as usize)
    }

    fn value(&self, text: &str) -> Result<u32, String> {
        let lower = text.to_ascii_lowercase();
        if let Some(n) = self.words.iter().position(|word| *word == lower) {
            return Ok(self.first + u32::try_from(n).expect("a dozen words at most"));
        }
        number(text).filter(|n| (self.first..=self.last).contains(n)).ok_or_else(|| self.refusal(text))
    }

    /// The end of a range, where Sunday is the last day.
    fn end(&self, text: &str) -> Result<u32, String> {
        let value = self.value(text)?;
        let is_sunday = self.last == WEEKDAY.last && value == 0 && text != "0";
        Ok(if is_sunday { WEEKDAY.last } else { value })
    }

    fn refusal(&self, text: &str) -> String {
        let (first, last) = (self.first, self.last);
        let words = match self.words {
            [] => String::new(),
            words => format!(" or {} to {}", words[0], words[words.len() - 1]),
        };
        let hint =
            if matches!(text, "?" | "L" | "W") || text.contains('#') { ": that is Quartz's, not cron's" } else { "" };
        format!("`{text}` is no {}{hint}; expected `*`, {first} to {last}{words}", self.name)
    }
}

/// Digits only: `+5` is none.
fn number(text: &str) -> Option<u32> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}
