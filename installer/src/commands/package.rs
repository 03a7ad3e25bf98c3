//! Which worker package `plan` and `install` take, and that there is one before anybody is asked anything.

use std::path::{Path, PathBuf};

use crate::deploy::package::{BUILT_IN, EXECUTABLE, Package};
use crate::ui::{Code, Event, Failure, Ui};
use crate::world::World;

use super::gather;

/// Where the worker package comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// A file that was named.
    Given(PathBuf),
    /// This build carries it.
    BuiltIn,
    /// A file beside this program, as cargo and `cargo xtask dist` leave them.
    Beside(PathBuf),
    /// Nowhere.
    Nowhere,
}

impl Source {
    /// The file that was named, else the package that is built in, else one that lies beside the program. Reads
    /// no file yet.
    pub(super) fn of(world: &World, named: Option<&Path>) -> Self {
        if let Some(named) = named {
            return Self::Given(named.to_owned());
        }
        if BUILT_IN.is_some() {
            return Self::BuiltIn;
        }
        let names = [format!("{EXECUTABLE}.zip"), EXECUTABLE.to_owned()];
        let beside = names.iter().find_map(|name| world.beside_program(name));
        beside.map_or(Self::Nowhere, Self::Beside)
    }

    /// Refuses to begin a conversation whose plan could not be carried out.
    ///
    /// # Errors
    /// Where there is no package.
    pub(super) fn require(&self) -> Result<(), Failure> {
        if *self != Self::Nowhere {
            return Ok(());
        }
        let mut failure = Failure::user(
            Code::Package,
            "there is no worker package to publish: this build of the installer carries none, and none lies beside it; nothing was asked or changed",
        );
        failure.problems.push(format!(
            "what to do: `cargo build --release --bins` makes `{EXECUTABLE}` beside the installer; or name one with `--package FILE`"
        ));
        Err(failure)
    }

    /// The package; `None` where there is none.
    ///
    /// # Errors
    /// When a file cannot be read, or is no worker package.
    pub(super) fn read(&self, world: &World, ui: &Ui) -> Result<Option<Package>, Failure> {
        match self {
            Self::Given(path) => gather::package(world, Some(path)),
            Self::Beside(path) => {
                ui.say(Event::Note {
                    text: format!("worker: `{}`, which lies beside this program", path.display()),
                });
                gather::package(world, Some(path))
            }
            Self::BuiltIn | Self::Nowhere => gather::package(world, None),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use super::Source;
    use crate::deploy::package::BUILT_IN;
    use crate::world::World;

    #[test]
    fn what_is_named_comes_before_everything_and_without_any_nothing_begins() {
        let world = World::with_environment(BTreeMap::new());
        let named = Source::of(&world, Some(Path::new("worker.zip")));
        assert_eq!(named, Source::Given("worker.zip".into()));
        assert!(named.require().is_ok());
        if BUILT_IN.is_none() {
            let none = Source::of(&world, None);
            assert_eq!(none, Source::Nowhere);
            let refused = none.require().expect_err("refused");
            assert!(refused.text().contains("--package FILE"), "{}", refused.text());
        }
    }
}
