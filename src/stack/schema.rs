//! The schemas of what is written as text, for the custom resources: what a pattern can say, an API server refuses.

/// Gives `$type` the schema `$json`.
macro_rules! written_as {
    ($type:ty, $json:tt) => {
        impl schemars::JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!($json)
            }
        }
    };
}

pub(crate) use written_as;
