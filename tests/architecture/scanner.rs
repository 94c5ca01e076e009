//! Sources as words: Rust text read just well enough to see what it names, without comments, literals and tests.

/// A word of the code: a path with its groups written out (`use a::{b, c}` is `a::b` and `a::c`), a name, a macro.
pub(super) struct Word {
    pub(super) line: usize,
    pub(super) path: String,
    /// Modules around it within its file.
    pub(super) inside: usize,
}

impl Word {
    /// Whether these segments stand in the path, one behind the other.
    pub(super) fn has(&self, segments: &str) -> bool {
        format!("::{}::", self.path).contains(&format!("::{segments}::"))
    }

    pub(super) fn begins(&self, segments: &str) -> bool {
        format!("{}::", self.path).starts_with(&format!("{segments}::"))
    }
}

pub(super) struct Source {
    pub(super) name: String,
    pub(super) text: String,
    /// All words, and those that are not for tests only.
    pub(super) words: Vec<Word>,
    pub(super) shipped: Vec<Word>,
}

impl Source {
    /// The module of the crate that the file belongs to, if it is one of the library's.
    pub(super) fn module(&self) -> Option<&str> {
        let path = self.name.strip_prefix("src/")?;
        let module = path.split('/').next()?.trim_end_matches(".rs");
        (module != "lib" && module != "main").then_some(module)
    }

    /// How many modules deep the file's own module is.
    pub(super) fn depth(&self) -> usize {
        let path = self.name.trim_start_matches("src/").trim_end_matches(".rs");
        path.split('/').filter(|part| !["mod", "lib", "main"].contains(part)).count()
    }

    pub(super) fn fault(&self, line: usize, what: &str) -> String {
        format!("{}:{line}: {what}", self.name)
    }
}

/// Sources made of (name, text), those of test-only modules recognised.
pub(super) fn sources(files: Vec<(String, String)>) -> Vec<Source> {
    let codes: Vec<String> = files.iter().map(|(_, text)| blank_literals(text)).collect();
    let mut only_tests = Vec::new();
    for ((name, _), code) in files.iter().zip(&codes) {
        let folder = name.trim_end_matches(".rs").trim_end_matches("/mod").trim_end_matches("/lib");
        for item in code.split("#[cfg(test)]").skip(1) {
            let head = &item[..item.find(['{', ';']).unwrap_or(item.len())];
            if let Some((_, module)) = head.rsplit_once("mod ")
                && item[head.len()..].starts_with(';')
            {
                only_tests.push(format!("{folder}/{}.rs", module.trim()));
                only_tests.push(format!("{folder}/{}/", module.trim()));
            }
        }
    }
    let source = |((name, text), code): ((String, String), String)| {
        let is_test = only_tests.iter().any(|test| name.starts_with(test));
        let shipped = if is_test { Vec::new() } else { words(&blank_tests(&code)) };
        Source { words: words(&code), shipped, name, text }
    };
    files.into_iter().zip(codes).map(source).collect()
}

/// The text with comments and literals blanked, line by line where it was.
fn blank_literals(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut code = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = end_of_literal(&chars, at);
        let blank = |c: &char| if *c == '\n' { '\n' } else { ' ' };
        match end {
            Some(end) => code.extend(chars[at..end.min(chars.len())].iter().map(blank)),
            None => code.push(if chars[at].is_ascii() { chars[at] } else { ' ' }),
        }
        at = end.unwrap_or(at + 1);
    }
    code
}

/// Where the comment or literal that begins at `at` ends; none where none begins.
fn end_of_literal(chars: &[char], at: usize) -> Option<usize> {
    let rest = &chars[at..];
    let find = |from: usize, wanted: &str| {
        let wanted: Vec<char> = wanted.chars().collect();
        rest.get(from..)?.windows(wanted.len()).position(|part| part == wanted).map(|found| at + from + found)
    };
    match rest {
        ['/', '/', ..] => Some(find(2, "\n").unwrap_or(chars.len())),
        ['/', '*', ..] => {
            let (mut depth, mut end) = (1, at + 2);
            while depth > 0 && end < chars.len() {
                match chars[end..] {
                    ['/', '*', ..] => (depth, end) = (depth + 1, end + 2),
                    ['*', '/', ..] => (depth, end) = (depth - 1, end + 2),
                    _ => end += 1,
                }
            }
            Some(end)
        }
        ['"', ..] => {
            let mut end = at + 1;
            while end < chars.len() && chars[end] != '"' {
                end += if chars[end] == '\\' { 2 } else { 1 };
            }
            Some(end + 1)
        }
        ['\'', '\\', ..] => find(3, "'").map(|end| end + 1),
        ['\'', _, '\'', ..] => Some(at + 3),
        ['b' | 'c' | 'r', ..] if at == 0 || !is_name(chars[at - 1]) => {
            let raw = if rest[0] == 'r' { 1 } else { 2 };
            let hashes = rest.get(raw..)?.iter().take_while(|c| **c == '#').count();
            let is_raw = rest[raw - 1] == 'r' && rest.get(raw + hashes) == Some(&'"');
            let close = format!("\"{}", "#".repeat(hashes));
            is_raw.then(|| find(raw + hashes + 1, &close).map_or(chars.len(), |end| end + close.len()))
        }
        _ => None,
    }
}

pub(super) const fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Blanked code (ASCII alone, so that bytes are characters) without the items that only tests see.
pub(super) fn blank_tests(code: &str) -> String {
    let mut shipped: Vec<char> = code.chars().collect();
    for (begin, mark) in code.match_indices("#[cfg(test)]") {
        let mut depth = 0;
        for c in shipped.iter_mut().skip(begin + mark.len()) {
            match c {
                '(' | '[' | '{' => depth += 1,
                ')' | ']' | '}' => depth -= 1,
                _ => {}
            }
            let ends = depth < 0 || (depth == 0 && (*c == ';' || *c == '}'));
            if *c != '\n' {
                *c = ' ';
            }
            if ends {
                break;
            }
        }
    }
    shipped.into_iter().collect()
}

/// The words of blanked code.
fn words(code: &str) -> Vec<Word> {
    let mut tokens: Vec<(usize, &str)> = Vec::new();
    for (line, text) in code.lines().enumerate() {
        let mut rest = text.trim_start();
        while let Some(first) = rest.chars().next() {
            let names = rest.chars().take_while(|c| is_name(*c)).count();
            let length = if rest.starts_with("::") { 2 } else { names.max(first.len_utf8()) };
            tokens.push((line + 1, &rest[..length]));
            rest = rest[length..].trim_start();
        }
    }
    let mut found = Vec::new();
    let mut braces = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let inside = braces.iter().filter(|is_module| **is_module).count();
        match tokens[at].1 {
            "{" => braces.push(at >= 2 && tokens[at - 2].1 == "mod"),
            "}" => drop(braces.pop()),
            token if token.starts_with(is_name) => {
                at = path(&tokens, at, "", inside, &mut found);
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    found
}

/// Reads the path at `at`, with a prefix and with groups written out; gives the place behind it.
fn path(tokens: &[(usize, &str)], mut at: usize, prefix: &str, inside: usize, found: &mut Vec<Word>) -> usize {
    let token = |at: usize| tokens.get(at).map_or("", |(_, token)| *token);
    let line = tokens[at].0;
    let mut path = format!("{prefix}{}", token(at));
    at += 1;
    while token(at) == "::" {
        match token(at + 1) {
            "{" => {
                at += 2;
                while !["}", ""].contains(&token(at)) {
                    at = match token(at) {
                        name if name.starts_with(|c| is_name(c) || c == '*') => {
                            self::path(tokens, at, &format!("{path}::"), inside, found)
                        }
                        _ => at + 1,
                    };
                }
                return at + 1;
            }
            name if name.starts_with(|c| is_name(c) || c == '*') => path = format!("{path}::{name}"),
            _ => break,
        }
        at += 2;
    }
    if token(at) == "!" && token(at + 1) != "=" {
        path.push('!');
    }
    found.push(Word { line, path, inside });
    at
}
