//! The cloud that the answers name.

use std::path::Path;

use contract::cloud::CloudProfile;
use contract::settings::MIMECAST_SENTINEL_CLOUD;

use crate::answers::given::{Given, Value};
use crate::world::World;

/// The cloud that was given: by name, by its endpoints as JSON, or by a file of them; else the one
/// of `MIMECAST_SENTINEL_CLOUD`, else the public one.
///
/// # Errors
/// What is wrong with it, for the person who gave it.
pub fn cloud(given: &Given, world: &World) -> Result<CloudProfile, String> {
    let text = match given.answer("azure.cloud").map(|answer| &answer.value) {
        Some(Value::Text(text)) => text.as_str(),
        _ => world.variable(MIMECAST_SENTINEL_CLOUD).unwrap_or("public"),
    };
    let named = matches!(text, "public" | "us-government" | "china") || text.starts_with('{');
    let profile = if named {
        text.to_owned()
    } else {
        let read = world.read_text(Path::new(text)).map_err(|error| {
            format!("`{text}` is no known cloud (public, us-government, china) and cannot be read as a file: {error}")
        })?;
        if !read.trim_start().starts_with('{') {
            return Err(format!("the file `{text}` is not a JSON object of endpoints"));
        }
        read
    };
    CloudProfile::parse(&profile).map_err(|error| match std::error::Error::source(&error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    })
}
