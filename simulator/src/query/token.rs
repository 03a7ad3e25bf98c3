//! The words, texts and symbols of a query.

use super::syntax::Unknown;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    Word(String),
    Text(String),
    Symbol(&'static str),
}

const SYMBOLS: &[&str] = &["==", "!=", "=~", ">=", "<=", "..", "|", "(", ")", ",", "=", ">", "<", "*"];

pub(super) fn tokens(text: &str) -> Result<Vec<Token>, Unknown> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        if first == '"' || first == '\'' {
            let end = rest[1..].find(first).ok_or_else(|| Unknown(rest.to_owned()))? + 1;
            let content = &rest[1..end];
            // An escape would change the meaning; none of our texts has one.
            if content.contains('\\') {
                return Err(Unknown(rest[..=end].to_owned()));
            }
            tokens.push(Token::Text(content.to_owned()));
            rest = &rest[end + 1..];
        } else if let Some(symbol) = SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol)) {
            tokens.push(Token::Symbol(symbol));
            rest = &rest[symbol.len()..];
        } else {
            let in_word = |character: char| {
                character.is_ascii_alphanumeric() || matches!(character, '_' | '-' | ':' | '.')
            };
            let mut end = rest.find(|character| !in_word(character)).unwrap_or(rest.len());
            // `..` is a symbol of its own, even right after a word.
            end = rest.find("..").map_or(end, |dots| dots.min(end));
            if end == 0 {
                return Err(Unknown(rest.to_owned()));
            }
            tokens.push(Token::Word(rest[..end].to_owned()));
            rest = &rest[end..];
        }
        rest = rest.trim_start();
    }
    Ok(tokens)
}
