//! What differs between two stories of a step.

use super::{Field, FileDifference, Input, Listing, Part, Rank, Story, Value, Variable};
use acetate_oci::Digest;
use serde::Serialize;
use std::borrow::Cow;

/// A value before and now; none where there was none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// What it was.
    pub then: Option<Value>,
    /// What it is.
    pub now: Option<Value>,
}

/// One thing that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Difference {
    /// The text of the instruction.
    Instruction {
        /// What it was.
        then: String,
        /// What it is.
        now: String,
    },
    /// A variable.
    Variable {
        /// How telling it is.
        rank: Rank,
        /// Its name.
        name: String,
        /// Whether it is an ARG.
        is_arg: bool,
        /// Its values.
        change: Change,
    },
    /// Something else that the op says.
    Setting {
        /// How telling it is.
        rank: Rank,
        /// What it is called.
        name: String,
        /// What it says.
        change: Change,
    },
    /// The same name of an image means another one.
    ImageMoved {
        /// The name; hidden where neither side may be shown.
        name: Value,
        /// What it meant.
        then: Digest,
        /// What it means.
        now: Digest,
    },
    /// Another image is named.
    OtherImage {
        /// The names.
        change: Change,
    },
    /// Files of a context.
    Files {
        /// The context; empty for the main one.
        context: String,
        /// Those that are known to differ, sorted by path.
        files: Vec<FileDifference>,
    },
    /// What an address gives.
    Fetched {
        /// The address.
        address: Change,
        /// What it gave and what it gives, where the address is the same.
        content: Option<(String, String)>,
    },
    /// The result of another step, or another step altogether.
    Step {
        /// What was there, in words; none where nothing was.
        then: Option<String>,
        /// The step now; none where it is none.
        now: Option<String>,
        /// The definition key of the step now.
        key: Option<Digest>,
    },
    /// The formats of keys.
    Format {
        /// Those before.
        then: String,
        /// Those now.
        now: String,
    },
}

impl Difference {
    /// How telling it is.
    pub fn rank(&self) -> Rank {
        match self {
            Self::Instruction { .. } => Rank::Instruction,
            Self::Variable { rank, .. } | Self::Setting { rank, .. } => *rank,
            Self::ImageMoved { .. } | Self::OtherImage { .. } => Rank::Base,
            Self::Files { .. } | Self::Fetched { .. } => Rank::Files,
            Self::Step { .. } => Rank::Step,
            Self::Format { .. } => Rank::Format,
        }
    }
}

/// What differs, most telling first, and in the order of the story where that says nothing.
///
/// An earlier story that holds digests is compared by digests; what may be shown of this one still is.
pub fn differences(then: &Story, now: &Story) -> Vec<Difference> {
    // Compared is what both sides have; shown is what stands here.
    let compared = match then.salt {
        Some(salt) => Cow::Owned(now.salted(salt)),
        None => Cow::Borrowed(now),
    };
    let mut found = Vec::new();
    if then.instruction.text != compared.instruction.text {
        found.push(Difference::Instruction {
            then: then.instruction.text.clone(),
            now: now.instruction.text.clone(),
        });
    }
    found.extend(variables(
        &then.variables,
        &compared.variables,
        &now.variables,
    ));
    found.extend(fields(then, &compared, now));
    for part in inputs(then, &compared, now) {
        found.extend(part);
    }
    if found.is_empty() && then.format != now.format {
        found.push(Difference::Format {
            then: then.format.clone(),
            now: now.format.clone(),
        });
    }
    let has_other_base = found.iter().any(|it| it.rank() == Rank::Base);
    for it in &mut found {
        if let Difference::Variable {
            rank,
            is_arg: false,
            ..
        } = it
            && has_other_base
        {
            *rank = Rank::BaseVariable;
        }
    }
    // Another value of an ARG in FROM is told as such.
    let base = [&then.instruction.base, &now.instruction.base];
    let is_filled = base[0] == base[1] && base[0].contains('$');
    found.retain(|it| !is_filled || !matches!(it, Difference::OtherImage { .. }));
    found.sort_by_key(Difference::rank);
    found
}

/// Pairs what has a name on both sides, in the order of now, and what is gone behind it.
fn paired<'t, T>(
    then: &'t [T],
    compared: &'t [T],
    shown: &'t [T],
    name: impl Fn(&T) -> &str,
    value: impl Fn(&T) -> &Value,
) -> Vec<(&'t T, Change)> {
    let mut found = Vec::new();
    for (compared, shown) in compared.iter().zip(shown) {
        let earlier = then.iter().find(|it| name(it) == name(compared));
        if earlier.map(&value) != Some(value(compared)) {
            let change = Change {
                then: earlier.map(|it| value(it).clone()),
                now: Some(value(shown).clone()),
            };
            found.push((shown, change));
        }
    }
    for gone in then {
        if compared.iter().all(|it| name(it) != name(gone)) {
            let change = Change {
                then: Some(value(gone).clone()),
                now: None,
            };
            found.push((gone, change));
        }
    }
    found
}

fn variables(then: &[Variable], compared: &[Variable], now: &[Variable]) -> Vec<Difference> {
    let mut pairs = paired(then, compared, now, |it| &it.name, |it| &it.value);
    // Nothing is more telling than what the command line sets.
    pairs.sort_by_key(|(variable, _)| !variable.is_arg);
    let difference = |(variable, change): (&Variable, Change)| Difference::Variable {
        rank: Rank::Variable,
        name: variable.name.clone(),
        is_arg: variable.is_arg,
        change,
    };
    let mut found: Vec<Difference> = pairs.into_iter().map(difference).collect();
    if found.is_empty() && order(then) != order(compared) {
        found.push(Difference::Setting {
            rank: Rank::Variable,
            name: "order of the variables".to_owned(),
            change: Change {
                then: Some(Value::plain(order(then).join(" "))),
                now: Some(Value::plain(order(now).join(" "))),
            },
        });
    }
    found
}

fn order(variables: &[Variable]) -> Vec<&str> {
    variables.iter().map(|it| it.name.as_str()).collect()
}

fn fields(then: &Story, compared: &Story, now: &Story) -> Vec<Difference> {
    let pairs = paired(
        &then.fields,
        &compared.fields,
        &now.fields,
        |it| &it.name,
        |it| &it.value,
    );
    let is_told = |(field, _): &(&Field, Change)| !follows(field, then, compared);
    let difference = |(field, change): (&Field, Change)| Difference::Setting {
        rank: field.rank,
        name: field.name.clone(),
        change,
    };
    pairs.into_iter().filter(is_told).map(difference).collect()
}

/// Says whether a field follows from what is told already: the text, or what is filled in.
fn follows(field: &Field, then: &Story, now: &Story) -> bool {
    let texts = [&then.instruction.text, &now.instruction.text];
    match (field.rank, field.name.as_str()) {
        // These are set by other instructions.
        (Rank::Setting, "user" | "working directory") | (Rank::Platform, _) => false,
        (Rank::Setting, "command") | (Rank::Mount, _) => texts[0] != texts[1],
        (Rank::Network, _) => {
            let flag = ["--network", "--security"];
            let has_flag = |text: &&String| flag.iter().any(|flag| text.contains(flag));
            texts[0] != texts[1] && texts.iter().any(has_flag)
        }
        _ => texts[0] != texts[1] || then.variables != now.variables,
    }
}

fn inputs(then: &Story, compared: &Story, now: &Story) -> Vec<Vec<Difference>> {
    let find = |parts: &'_ [Part], usage: &str| -> Option<Input> {
        let found = parts.iter().find(|part| part.usage == usage);
        found.map(|part| part.input.clone())
    };
    let mut found = Vec::new();
    for (compared, shown) in compared.inputs.iter().zip(&now.inputs) {
        found.push(match find(&then.inputs, &compared.usage) {
            Some(earlier) => input(&earlier, &compared.input, &shown.input),
            None => vec![other(None, Some(&shown.input))],
        });
    }
    for gone in &then.inputs {
        if find(&compared.inputs, &gone.usage).is_none() {
            found.push(vec![other(Some(&gone.input), None)]);
        }
    }
    found
}

/// What differs between two inputs that are used as the same thing.
fn input(then: &Input, compared: &Input, shown: &Input) -> Vec<Difference> {
    if then == compared {
        return Vec::new();
    }
    match (then, compared, shown) {
        (Input::Image { .. }, Input::Image { .. }, Input::Image { .. }) => {
            image(then, compared, shown)
        }
        (
            Input::Files {
                digest: before,
                listing: old,
                ..
            },
            Input::Files {
                digest: after,
                listing: new,
                context,
            },
            _,
        ) => files(context, (before, old), (after, new)),
        (
            Input::Step {
                name: before,
                key: old,
            },
            Input::Step { name, key },
            _,
        ) if old != key => {
            vec![Difference::Step {
                then: Some(before.clone()),
                now: Some(name.clone()),
                key: Some(*key),
            }]
        }
        (Input::Fetched { .. }, Input::Fetched { .. }, Input::Fetched { .. }) => {
            fetched(then, compared, shown)
        }
        // The number of a step is in its name and in no key.
        (Input::Step { .. }, Input::Step { .. }, _) => Vec::new(),
        _ => vec![other(Some(then), Some(shown))],
    }
}

fn image(then: &Input, compared: &Input, shown: &Input) -> Vec<Difference> {
    let (
        Input::Image {
            name: before,
            manifest: old,
            platform: old_platform,
            filled: old_filled,
        },
        Input::Image {
            name: after,
            manifest: new,
            platform: new_platform,
            filled: new_filled,
        },
        Input::Image { name, filled, .. },
    ) = (then, compared, shown)
    else {
        return Vec::new();
    };
    if old == new && old_platform == new_platform {
        return Vec::new();
    }
    let mut found = Vec::new();
    if old_platform != new_platform {
        found.push(Difference::Setting {
            rank: Rank::Platform,
            name: "platform of the base".to_owned(),
            change: Change {
                then: Some(Value::plain(old_platform)),
                now: Some(Value::plain(new_platform)),
            },
        });
    }
    if before != after {
        found.extend(variables(old_filled, new_filled, filled));
        found.push(Difference::OtherImage {
            change: Change {
                then: Some(before.clone()),
                now: Some(name.clone()),
            },
        });
    } else if old_platform == new_platform {
        found.push(Difference::ImageMoved {
            name: name.clone(),
            then: *old,
            now: *new,
        });
    }
    found
}

fn files(
    context: &str,
    (before, old): (&Digest, &Listing),
    (after, new): (&Digest, &Listing),
) -> Vec<Difference> {
    if before == after {
        return Vec::new();
    }
    vec![Difference::Files {
        context: context.to_owned(),
        files: old.differences(new),
    }]
}

fn fetched(then: &Input, compared: &Input, shown: &Input) -> Vec<Difference> {
    let (
        Input::Fetched {
            address: before,
            content: old,
            details: old_details,
        },
        Input::Fetched {
            address: after,
            content: new,
            details: new_details,
        },
        Input::Fetched { address, .. },
    ) = (then, compared, shown)
    else {
        return Vec::new();
    };
    if old == new && old_details == new_details {
        return Vec::new();
    }
    let content = if old == new {
        (old_details.clone(), new_details.clone())
    } else {
        (old.clone(), new.clone())
    };
    vec![Difference::Fetched {
        address: Change {
            then: Some(before.clone()),
            now: Some(address.clone()),
        },
        content: (before == after).then_some(content),
    }]
}

/// Something else stands in a place.
fn other(then: Option<&Input>, now: Option<&Input>) -> Difference {
    Difference::Step {
        then: then.map(describe),
        now: now.map(describe),
        key: match now {
            Some(Input::Step { key, .. }) => Some(*key),
            _ => None,
        },
    }
}

fn describe(input: &Input) -> String {
    match input {
        Input::Image { name, .. } => match name.text() {
            Some(name) => format!("image {name}"),
            None => "an image".to_owned(),
        },
        Input::Files { context, .. } if context.is_empty() => "files of the context".to_owned(),
        Input::Files { context, .. } => format!("files of the context {context}"),
        Input::Step { name, .. } => name.clone(),
        Input::Fetched { .. } => "what was fetched".to_owned(),
        Input::Made { .. } => "what the instruction holds".to_owned(),
    }
}
