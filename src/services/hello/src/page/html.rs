//! A document in the making: markup that was written here, and text that was not.
//!
//! In:  markup (only what stands in this program), text (from anywhere). Out: HTML in which no text is markup.
//!
//! Source: the HTML standard, "Serialising HTML fragments".

use std::fmt::{self, Display, Write as _};

/// A document in the making.
#[derive(Debug, Default)]
pub(super) struct Html(String);

impl Html {
    /// Adds markup: a text that was written in this program, by its type.
    pub(super) fn markup(&mut self, markup: &'static str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    /// Adds text. Whatever it is, it stays text, between tags and in quoted attributes.
    pub(super) fn text(&mut self, text: impl Display) -> &mut Self {
        let _ = write!(Escape(&mut self.0), "{text}"); // Writing into a String does not fail.
        self
    }

    /// The document.
    pub(super) fn finish(self) -> String {
        self.0
    }
}

struct Escape<'h>(&'h mut String);

impl fmt::Write for Escape<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for letter in text.chars() {
            match letter {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                '\0' => self.0.push('\u{fffd}'), // HTML has no such letter.
                plain => self.0.push(plain),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Html;
    use proptest::prelude::{any, proptest};

    #[test]
    fn markup_is_markup_and_text_is_text() {
        let mut page = Html::default();
        page.markup("<b title=\"").text("\"'").markup("\">").text("a < b & c").markup("</b>");
        assert_eq!(page.finish(), "<b title=\"&quot;&#39;\">a &lt; b &amp; c</b>");
    }

    proptest! {
        #[test]
        fn no_text_becomes_markup_and_all_come_back(text in any::<String>()) {
            let mut page = Html::default();
            page.text(&text);
            let page = page.finish();
            assert!(!page.contains(['<', '>', '"', '\'', '\0']));
            let back = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")];
            let read = back.iter().fold(page, |page, (from, to)| page.replace(from, to));
            assert_eq!(read, text.replace('\0', "\u{fffd}"));
        }
    }
}
