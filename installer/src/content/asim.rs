//! Our line in the workspace's custom ASIM parsers.
//!
//! Microsoft's unifying parsers call a workspace function of a fixed name where one exists
//! (`Im_AuthenticationCustom`, …); every team's source parser is a line in it
//! (<https://learn.microsoft.com/azure/sentinel/normalization-manage-parsers>). The function is
//! shared: we add one line, touch no other, and take only that line out again.

use self::union::end_of_union;
use super::Function;

mod union;

/// The empty view that a new custom parser begins with.
pub const EMPTY_VIEW: &str = "ASimEmptyView";
/// What [`EMPTY_VIEW`] is where the workspace has none: a table without rows.
pub const EMPTY_VIEW_QUERY: &str = "datatable(TimeGenerated: datetime)[]";

/// Whether a function of this name is a custom unifying parser, or the empty view that they begin with.
pub fn custom_parser(alias: &str) -> bool {
    let unifying = ["Im_", "ASim_"].iter().any(|start| alias.starts_with(start)) && alias.ends_with("Custom");
    unifying || alias.eq_ignore_ascii_case(EMPTY_VIEW)
}

/// A custom unifying parser as the workspace has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unifier {
    /// Its query.
    pub query: String,
    /// Its parameters, `name:type=default, …`.
    pub parameters: String,
}

/// Why our line cannot be added.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegisterError {
    /// The function declares other parameters than the ones we would pass: an older deployment.
    #[error(
        "`{unifier}` does not declare {missing}, which `{parser}` needs; update `{unifier}` or register by hand"
    )]
    Parameters {
        /// The custom parser.
        unifier: String,
        /// Our parser.
        parser: String,
        /// The parameters that it lacks, separated by commas.
        missing: String,
    },
    /// The query is not one `union` of parsers: what follows the union, or stands before it, would read our
    /// line as something else.
    #[error(
        "`{unifier}` is not one `union` of parsers and nothing else, so it is left alone; to register `{parser}`, add this to its parsers by hand: {line}"
    )]
    Shape {
        /// The custom parser.
        unifier: String,
        /// Our parser.
        parser: String,
        /// The call to add.
        line: String,
    },
}

/// The parameters that our parser shares with the unifying ones: all but those set by our own line.
fn passed(parser: &Function) -> impl Iterator<Item = &str> {
    names(&parser.parameters).filter(|name| *name != "disabled")
}

fn names(parameters: &str) -> impl Iterator<Item = &str> {
    // A default such as `dynamic([])` holds no comma followed by `name:`, so a colon marks a name.
    parameters.split(',').filter_map(|part| part.split_once(':')).map(|(name, _)| name.trim())
}

/// The call that stands for our parser, every argument by name.
pub fn call(parser: &Function) -> String {
    let arguments: Vec<String> = passed(parser)
        .map(|name| format!("{name}={name}"))
        .chain(
            names(&parser.parameters).filter(|name| *name == "disabled").map(|_| "disabled=false".to_owned()),
        )
        .collect();
    format!("{}({})", parser.name, arguments.join(", "))
}

/// Adds our parser to the custom parser `unifier`, or makes the custom parser where there is none.
///
/// Gives `None` where the line is there already.
///
/// # Errors
/// [`RegisterError`] where the existing function cannot take the line. Nothing is lost: our parsers
/// work without it.
pub fn register(
    unifier: &str,
    existing: Option<&Unifier>,
    parser: &Function,
) -> Result<Option<Unifier>, RegisterError> {
    let Some(existing) = existing else {
        // Ours declare what Microsoft's empty custom parsers do, `disabled` and `pack` among them: whoever calls
        // one by those names must not fail on this one
        // (<https://github.com/Azure/Azure-Sentinel/tree/master/ASIM/deploy/EmptyCustomUnifyingParsers>).
        let query = format!("union isfuzzy=true\n    {EMPTY_VIEW},\n    {}\n", call(parser));
        return Ok(Some(Unifier { query, parameters: parser.parameters.clone() }));
    };
    // A person who has put our line behind a comment does not want it.
    if existing.query.contains(parser.name) {
        return Ok(None);
    }
    let declared: Vec<&str> = names(&existing.parameters).collect();
    let missing: Vec<&str> = passed(parser).filter(|name| !declared.contains(name)).collect();
    if !missing.is_empty() {
        return Err(RegisterError::Parameters {
            unifier: unifier.to_owned(),
            parser: parser.name.to_owned(),
            missing: missing.join(", "),
        });
    }
    let Some(end) = end_of_union(&existing.query) else {
        return Err(RegisterError::Shape {
            unifier: unifier.to_owned(),
            parser: parser.name.to_owned(),
            line: call(parser),
        });
    };
    // What follows the last parser stays behind ours, so that taking the line out gives the same text again.
    let (listed, rest) = existing.query.split_at(end);
    let query = format!("{listed},\n    {}{rest}", call(parser));
    Ok(Some(Unifier { query, parameters: existing.parameters.clone() }))
}

/// Takes our line out of a custom parser; `None` where it is not there.
pub fn unregister(existing: &Unifier, parser: &Function) -> Option<Unifier> {
    let (start, end) = line_of(&existing.query, parser)?;
    let (before, after) = (&existing.query[..start], &existing.query[end..]);
    // The comma that joined our line to its neighbours goes with it.
    let (before, after) = match before.trim_end().strip_suffix(',') {
        Some(before) => (before, after),
        None => (before, after.trim_start().strip_prefix(',').map_or(after, str::trim_start)),
    };
    let query = format!("{before}{after}");
    Some(Unifier { query, parameters: existing.parameters.clone() })
}

/// Whether a custom parser without our line holds nothing but the empty view, so that it was made for us.
pub fn empty(unifier: &Unifier) -> bool {
    let words = unifier.query.replace([',', '(', ')'], " ");
    words.split_whitespace().all(|word| matches!(word, "union" | "isfuzzy=true") || word == EMPTY_VIEW)
}

/// Where our parser's call stands in a query: the bytes from its name to its closing parenthesis.
fn line_of(query: &str, parser: &Function) -> Option<(usize, usize)> {
    let mut from = 0;
    while let Some(found) = query[from..].find(parser.name) {
        let start = from + found;
        let after = start + parser.name.len();
        let whole = !query[..start].ends_with(|each: char| each.is_ascii_alphanumeric() || each == '_');
        let line = query[..start].rsplit('\n').next().unwrap_or_default();
        if whole && query[after..].starts_with('(') && !line.contains("//") {
            let mut depth = 0_usize;
            for (offset, each) in query[after..].char_indices() {
                match each {
                    '(' => depth += 1,
                    ')' => depth -= 1,
                    _ => {}
                }
                if depth == 0 {
                    return Some((start, after + offset + 1));
                }
            }
            return None;
        }
        from = after;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{RegisterError, Unifier, call, empty, register, unregister};
    use crate::content::{Function, Library};

    const UNIFIER: &str = "Im_AuthenticationCustom";

    fn parser() -> Function {
        let library = Library::load().expect("valid");
        let found = library.functions.into_iter().find(|item| item.name == "vimAuthenticationMimecastAudit");
        found.expect("our parser")
    }

    /// A custom parser of another team, with the parameters of Microsoft's current page.
    fn neighbour() -> Unifier {
        let parameters = parser().parameters;
        let query = "union isfuzzy=true\n  ASimEmptyView,\n  vimAuthenticationOther(starttime=starttime, pack=pack)\n";
        Unifier { query: query.to_owned(), parameters }
    }

    #[test]
    fn a_new_custom_parser_begins_with_the_empty_view_and_passes_every_parameter_by_name() {
        let made = register(UNIFIER, None, &parser()).expect("nothing in the way").expect("made");
        assert!(
            made.query
                .starts_with("union isfuzzy=true\n    ASimEmptyView,\n    vimAuthenticationMimecastAudit(")
        );
        assert!(made.query.contains("starttime=starttime") && made.query.contains("disabled=false"));
        assert!(made.query.contains("pack=pack"));
        // As in Microsoft's empty parsers.
        for declared in
            ["starttime:datetime=", "eventresult:string='*'", "disabled:bool=false", "pack:bool=false"]
        {
            assert!(made.parameters.contains(declared), "{declared}");
        }
    }

    #[test]
    fn adding_and_taking_out_leaves_the_neighbours_as_they_were() {
        let before = neighbour();
        let with = register(UNIFIER, Some(&before), &parser()).expect("fits").expect("added");
        assert!(with.query.starts_with(before.query.trim_end()));
        assert_eq!(with.query.matches("vimAuthenticationMimecastAudit").count(), 1);
        assert_eq!(register(UNIFIER, Some(&with), &parser()), Ok(None), "twice is once");
        let without = unregister(&with, &parser()).expect("it was there");
        assert_eq!(without, before, "byte for byte");
        assert_eq!(unregister(&without, &parser()), None);
    }

    #[test]
    fn comments_of_others_are_no_hindrance_and_a_line_behind_one_stays_off() {
        let mut before = neighbour();
        before.query = format!("// Parsers of the SOC\n{}\n\n", before.query);
        let with = register(UNIFIER, Some(&before), &parser()).expect("fits").expect("added");
        assert_eq!(unregister(&with, &parser()), Some(before));
        let off =
            with.query.replace("    vimAuthenticationMimecastAudit", "    // vimAuthenticationMimecastAudit");
        let off = Unifier { query: off, ..with };
        assert_eq!(register(UNIFIER, Some(&off), &parser()), Ok(None));
        assert_eq!(unregister(&off, &parser()), None);
    }

    #[test]
    fn our_line_is_taken_out_of_the_middle_too() {
        let with = register(UNIFIER, Some(&neighbour()), &parser()).expect("fits").expect("added");
        let query = format!("{},\n  vimAuthenticationThird(pack=pack)\n", with.query.trim_end());
        let without = unregister(&Unifier { query, ..with }, &parser()).expect("it was there");
        assert!(
            without.query.contains(
                "vimAuthenticationOther(starttime=starttime, pack=pack),\n  vimAuthenticationThird"
            )
        );
    }

    #[test]
    fn a_custom_parser_made_for_us_is_recognised_as_empty_afterwards() {
        let made = register(UNIFIER, None, &parser()).expect("fits").expect("made");
        assert!(empty(&unregister(&made, &parser()).expect("it was there")));
        assert!(!empty(&neighbour()));
    }

    #[test]
    fn an_older_custom_parser_is_left_alone_and_what_it_lacks_is_named() {
        let mut older = neighbour();
        older.parameters =
            "starttime:datetime=datetime(null), targetusername_has_any:dynamic=dynamic([]), pack:bool=false"
                .to_owned();
        let Err(RegisterError::Parameters { missing, .. }) = register(UNIFIER, Some(&older), &parser())
        else {
            panic!("it must be refused");
        };
        assert!(missing.starts_with("endtime, username_has_any"), "{missing}");
    }

    #[test]
    fn a_query_of_another_shape_is_left_alone_and_the_line_to_add_is_told() {
        for query in [
            "let x = 1; SigninLogs | where true",
            "union isfuzzy=true\n  ASimEmptyView,\n  vimAuthenticationOther(pack=pack)\n| where EventProduct !in (\"x\")",
            "union isfuzzy=true vimAuthenticationOther(pack=pack) | extend Owner = tostring(1)",
            "union vimAuthenticationOther(pack=pack); print(1)",
            "union vimAuthenticationOther(pack=pack) // unfinished (\n| where isnotempty(User)",
            "let theirs = vimAuthenticationOther(pack=pack); union theirs, ASimEmptyView",
            "union vimAuthenticationOther(pack=pack",
            "union vimAuthenticationOther(pack=pack),",
            "union",
            "unions(1)",
            "",
        ] {
            let other = Unifier { query: query.to_owned(), ..neighbour() };
            let Err(error) = register(UNIFIER, Some(&other), &parser()) else { panic!("{query}") };
            assert!(matches!(error, RegisterError::Shape { .. }), "{query}: {error}");
            assert!(error.to_string().ends_with(&call(&parser())), "{error}");
        }
    }

    #[test]
    fn a_union_takes_the_line_whatever_its_parsers_and_comments_hold() {
        for query in [
            "union ASimEmptyView\n",
            "union kind=outer isfuzzy = true withsource=Source ASimEmptyView, vimAuthenticationOther(pack=pack) // the last | one",
            "union\n  (vimAuthenticationOther(pack=pack) | where EventProduct != \"a)|b\"), // ours\n  ASimEmptyView\n// end\n",
            "union vimAuthenticationOther(username_has_any=dynamic(['\\'),']), note=@\"C:\\\"), ASimEmptyView",
        ] {
            let before = Unifier { query: query.to_owned(), ..neighbour() };
            let with = register(UNIFIER, Some(&before), &parser()).expect("fits").expect("added");
            let line = format!(",\n    {}", call(&parser()));
            assert_eq!(with.query.replacen(&line, "", 1), query, "nothing else is touched");
            assert_eq!(register(UNIFIER, Some(&with), &parser()), Ok(None));
            assert_eq!(unregister(&with, &parser()), Some(before), "byte for byte");
        }
    }
}
