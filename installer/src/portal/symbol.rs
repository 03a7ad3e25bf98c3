//! Values that the template knows only when it is deployed: marks in text, and what they become as
//! expressions of Azure's template language.
//!
//! A rendering with symbols has `⟪appName⟫` where the installer would have the answer. Values that
//! another resource makes are the marks of [`output`], here as everywhere.

use std::collections::BTreeMap;

use crate::plan::output;

/// The two characters that enclose a symbol. No answer of the installer comes into a template, so
/// nothing else can hold them.
const SYMBOL: [char; 2] = ['\u{27ea}', '\u{27eb}'];

/// The mark for a symbol.
pub(super) fn symbol(name: &str) -> String {
    format!("{}{name}{}", SYMBOL[0], SYMBOL[1])
}

/// Symbol of the subscription that is deployed to.
pub(super) const SUBSCRIPTION_ID: &str = "subscriptionId";
/// Symbol of the resource group that is deployed to.
pub(super) const RESOURCE_GROUP_NAME: &str = "resourceGroupName";

/// What a symbol stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Meaning {
    /// A parameter of the template.
    Parameter,
    /// A variable of the template.
    Variable,
    /// An expression of its own.
    Expression(String),
}

/// A symbol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Symbol {
    /// The type that a parameter of a nested deployment needs to take it.
    pub(super) kind: &'static str,
    /// What it stands for.
    pub(super) meaning: Meaning,
}

/// Every symbol by name, and where the values of steps are found.
pub(super) struct Names {
    pub(super) symbols: BTreeMap<String, Symbol>,
    /// The id with symbols and the API version of each step's resource.
    pub(super) steps: BTreeMap<String, (String, &'static str)>,
}

impl Names {
    fn outside(&self, name: &str) -> String {
        match self.symbols.get(name).map(|symbol| &symbol.meaning) {
            Some(Meaning::Expression(text)) => text.clone(),
            Some(Meaning::Variable) => format!("variables('{name}')"),
            // A symbol that is not declared is a fault that the template's own test finds.
            Some(Meaning::Parameter) | None => format!("parameters('{name}')"),
        }
    }
}

/// The template, or a nested one, that an expression is written into.
///
/// A nested template sees nothing of the outer one: what it uses is collected and passed to it as
/// parameters of the same names.
pub(super) struct Scope<'a> {
    names: &'a Names,
    own_group: [&'static str; 2],
    passed: Option<BTreeMap<String, (&'static str, String)>>,
}

impl<'a> Scope<'a> {
    /// The template itself.
    pub(super) fn outer(names: &'a Names) -> Self {
        Self { names, own_group: [SUBSCRIPTION_ID, RESOURCE_GROUP_NAME], passed: None }
    }

    /// A nested template for the group that these two symbols name.
    pub(super) fn nested(names: &'a Names, own_group: [&'static str; 2]) -> Self {
        Self { names, own_group, passed: Some(BTreeMap::new()) }
    }

    /// What a nested template takes: type and outer expression, by name.
    pub(super) fn passed(self) -> BTreeMap<String, (&'static str, String)> {
        self.passed.unwrap_or_default()
    }

    /// The expression for a symbol.
    pub(super) fn symbol(&mut self, name: &str) -> String {
        let outside = self.names.outside(name);
        let Some(passed) = &mut self.passed else { return outside };
        let kind = self.names.symbols.get(name).map_or("string", |symbol| symbol.kind);
        passed.entry(name.to_owned()).or_insert((kind, outside));
        format!("parameters('{name}')")
    }

    /// The expression for a value that another resource makes.
    fn made(&mut self, step: &str, pointer: &str) -> String {
        let (id, api_version) = self.names.steps.get(step).cloned().unwrap_or_default();
        let path = pointer.trim_start_matches("/properties").replace('/', ".");
        let outside = format!("reference({}, '{api_version}'){path}", Scope::outer(self.names).text(&id));
        let Some(passed) = &mut self.passed else { return outside };
        let words = step.split('_').chain(pointer.rsplit('/').next());
        let name: String = words
            .enumerate()
            .map(|(index, word)| {
                let mut letters = word.chars();
                let first = letters.next().map(|first| match index {
                    0 => first.to_ascii_lowercase(),
                    _ => first.to_ascii_uppercase(),
                });
                first.into_iter().chain(letters).collect::<String>()
            })
            .collect();
        passed.insert(name.clone(), ("string", outside));
        format!("parameters('{name}')")
    }

    /// The expression for a text that may hold symbols and marks.
    pub(super) fn text(&mut self, text: &str) -> String {
        if let Some(id) = self.resource_id(text) {
            return id;
        }
        let mut pieces: Vec<String> = pieces(text)
            .map(|piece| match piece {
                Piece::Text(text) => quoted(text),
                Piece::Symbol(name) => self.symbol(name),
                Piece::Made(step, pointer) => self.made(step, pointer),
            })
            .collect();
        match pieces.len() {
            0 => "''".to_owned(),
            1 => pieces.remove(0),
            _ => format!("concat({})", pieces.join(", ")),
        }
    }

    /// `resourceId(…)` for an id below a group, `subscriptionResourceId(…)` for one below the
    /// subscription.
    fn resource_id(&mut self, text: &str) -> Option<String> {
        let (scope, path) = text.split_once("/providers/")?;
        let [subscription, group] = self.own_group.map(symbol);
        let function = if scope == format!("/subscriptions/{subscription}/resourceGroups/{group}") {
            "resourceId"
        } else if scope == format!("/subscriptions/{subscription}") {
            "subscriptionResourceId"
        } else {
            return None;
        };
        if path.contains("/providers/") {
            return None;
        }
        let mut words = path.split('/');
        let mut kind = words.next()?.to_owned();
        let mut names = Vec::new();
        while let Some(word) = words.next() {
            kind = format!("{kind}/{word}");
            names.push(self.text(words.next()?));
        }
        Some(format!("{function}('{kind}', {})", names.join(", ")))
    }

    /// The text as a JSON string of a template: as it is, or as an expression in brackets.
    pub(super) fn json_text(&mut self, text: &str) -> String {
        if !pieces(text).all(|piece| matches!(piece, Piece::Text(_))) {
            return format!("[{}]", self.text(text));
        }
        // A text that begins with a bracket would be read as an expression
        // (https://learn.microsoft.com/azure/azure-resource-manager/templates/template-expressions#escape-characters).
        if text.starts_with('[') { format!("[{text}") } else { text.to_owned() }
    }
}

/// A text literal of the template language.
pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

enum Piece<'a> {
    Text(&'a str),
    Symbol(&'a str),
    Made(&'a str, &'a str),
}

fn pieces(text: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let start = rest.find([SYMBOL[0], output::MARKS[0]]).unwrap_or(rest.len());
        if start > 0 {
            let (plain, after) = rest.split_at(start);
            rest = after;
            return Some(Piece::Text(plain));
        }
        let mut inside = rest.chars();
        let opening = inside.next()?;
        let closing = if opening == SYMBOL[0] { SYMBOL[1] } else { output::MARKS[1] };
        let Some((marked, after)) = inside.as_str().split_once(closing) else {
            return Some(Piece::Text(std::mem::take(&mut rest)));
        };
        rest = after;
        Some(match marked.split_once('#').filter(|_| opening == output::MARKS[0]) {
            Some((step, pointer)) => Piece::Made(step, pointer),
            None => Piece::Symbol(marked),
        })
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{Meaning, Names, RESOURCE_GROUP_NAME, SUBSCRIPTION_ID, Scope, Symbol, symbol};
    use crate::plan::output;

    fn names() -> Names {
        let of = |kind, meaning| Symbol { kind, meaning };
        let group = format!(
            "/subscriptions/{}/resourceGroups/{}",
            symbol(SUBSCRIPTION_ID),
            symbol(RESOURCE_GROUP_NAME)
        );
        Names {
            symbols: BTreeMap::from([
                ("appName".to_owned(), of("string", Meaning::Parameter)),
                ("flex".to_owned(), of("bool", Meaning::Variable)),
                (
                    SUBSCRIPTION_ID.to_owned(),
                    of("string", Meaning::Expression("subscription().subscriptionId".to_owned())),
                ),
            ]),
            steps: BTreeMap::from([(
                "key_vault".to_owned(),
                (format!("{group}/providers/Microsoft.KeyVault/vaults/{}", symbol("appName")), "2026-02-01"),
            )]),
        }
    }

    #[test]
    fn texts_become_expressions_only_where_they_must() {
        let names = names();
        let mut scope = Scope::outer(&names);
        assert_eq!(scope.json_text("it's plain"), "it's plain");
        assert_eq!(scope.json_text("[0,1]"), "[[0,1]");
        assert_eq!(scope.json_text(&symbol("appName")), "[parameters('appName')]");
        assert_eq!(
            scope.json_text(&format!("it's {}!", symbol("appName"))),
            "[concat('it''s ', parameters('appName'), '!')]"
        );
        assert_eq!(
            scope.json_text(&format!("{}secrets/x", output::mark("key_vault", "/properties/vaultUri"))),
            "[concat(reference(resourceId('Microsoft.KeyVault/vaults', parameters('appName')), '2026-02-01').vaultUri, 'secrets/x')]"
        );
        assert_eq!(
            scope.json_text(&format!(
                "/subscriptions/{}/providers/Microsoft.Authorization/roleDefinitions/r",
                symbol(SUBSCRIPTION_ID)
            )),
            "[subscriptionResourceId('Microsoft.Authorization/roleDefinitions', 'r')]"
        );
    }

    #[test]
    fn a_nested_template_is_given_what_it_uses() {
        let names = names();
        let mut scope = Scope::nested(&names, [SUBSCRIPTION_ID, RESOURCE_GROUP_NAME]);
        assert_eq!(scope.json_text(&symbol("flex")), "[parameters('flex')]");
        assert_eq!(
            scope.json_text(&output::mark("key_vault", "/properties/vaultUri")),
            "[parameters('keyVaultVaultUri')]"
        );
        let passed = scope.passed();
        assert_eq!(passed["flex"], ("bool", "variables('flex')".to_owned()));
        assert_eq!(
            passed["keyVaultVaultUri"].1,
            "reference(resourceId('Microsoft.KeyVault/vaults', parameters('appName')), '2026-02-01').vaultUri"
        );
    }
}
