//! A reader of the one shape of query that a parser can be added to: `union`, its options, its parsers, and
//! nothing else but comments.

/// The byte after the last parser of a query that is one `union` and nothing else; `None` for any other query.
pub(super) fn end_of_union(query: &str) -> Option<usize> {
    let mut reader = Reader { text: query, at: 0 };
    reader.skip_blanks();
    if reader.word() != "union" {
        return None;
    }
    reader.skip_blanks();
    while reader.option() {
        reader.skip_blanks();
    }
    loop {
        reader.parser()?;
        let end = reader.at;
        reader.skip_blanks();
        if reader.rest().is_empty() {
            return Some(end);
        }
        if !reader.take(',') {
            return None;
        }
        reader.skip_blanks();
    }
}

/// A place in a query.
struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn take(&mut self, wanted: char) -> bool {
        let there = self.rest().starts_with(wanted);
        if there {
            self.at += wanted.len_utf8();
        }
        there
    }

    /// Goes over blanks and comments.
    fn skip_blanks(&mut self) {
        loop {
            let rest = self.rest();
            let text = rest.trim_start();
            self.at += rest.len() - text.len();
            if !text.starts_with("//") {
                return;
            }
            self.at += text.find('\n').unwrap_or(text.len());
        }
    }

    /// A name, also one with a wildcard or of an option; empty where none stands here.
    fn word(&mut self) -> &'a str {
        let rest = self.rest();
        let end = rest
            .find(|each: char| !each.is_ascii_alphanumeric() && !matches!(each, '_' | '*' | '.'))
            .unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    /// Goes over `isfuzzy=true` and its like, where one stands here.
    fn option(&mut self) -> bool {
        let start = self.at;
        if !self.word().is_empty() {
            self.skip_blanks();
            if self.take('=') {
                self.skip_blanks();
                if !self.word().is_empty() {
                    return true;
                }
            }
        }
        self.at = start;
        false
    }

    /// Goes over a parser: a name, a call of one, or a query in parentheses.
    fn parser(&mut self) -> Option<()> {
        let named = !self.word().is_empty();
        let end = self.at;
        self.skip_blanks();
        if self.rest().starts_with('(') {
            return self.parentheses();
        }
        self.at = end;
        named.then_some(())
    }

    /// Goes from an opening parenthesis over the one that closes it.
    fn parentheses(&mut self) -> Option<()> {
        let mut depth = 0_usize;
        loop {
            self.skip_blanks();
            let next = self.rest().chars().next()?;
            match next {
                '"' | '\'' => {
                    self.quoted(next)?;
                    continue;
                }
                '(' => depth += 1,
                ')' => depth = depth.checked_sub(1)?,
                _ => {}
            }
            self.at += next.len_utf8();
            if depth == 0 {
                return Some(());
            }
        }
    }

    /// Goes over a text in quotation marks, in which a backslash guards what follows unless an `@` stands
    /// before it.
    fn quoted(&mut self, mark: char) -> Option<()> {
        let verbatim = self.text[..self.at].ends_with('@');
        let mut guarded = false;
        for (offset, each) in self.rest().char_indices().skip(1) {
            if each == mark && !guarded {
                self.at += offset + mark.len_utf8();
                return Some(());
            }
            guarded = !verbatim && !guarded && each == '\\';
        }
        None
    }
}
