//! Text of others, as something that a terminal shows and doesn't obey.

/// One line that a terminal shows as what it is: no control characters (which move the cursor or colour it), nothing that turns
/// the direction of writing or can't be seen; and not longer than so many characters.
pub fn text(said: &str, longest: usize) -> String {
    let mut shown = String::new();
    for (count, c) in said.chars().enumerate() {
        if count == longest {
            shown.pop();
            shown.push('…');
            break;
        }
        shown.push(if is_hidden(c) { ' ' } else { c });
    }
    shown
}

/// Moves a terminal's cursor, colours what follows, turns the direction of writing, or can't be seen.
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}
