//! Which values of a state mean what, as a comment tells them.

/// The values that a column has for what is there and for what is not, as its comment tells them: `0 正常，1 停用`.
pub(super) fn of_comment(comment: &str) -> Option<(String, String)> {
    const HERE: [&str; 8] = ["正常", "启用", "有效", "在职", "存在", "未删除", "可用", "激活"];
    const GONE: [&str; 11] =
        ["不启用", "停用", "禁用", "冻结", "离职", "无效", "失效", "已删除", "删除", "注销", "撤销"];
    let pairs = pairs(comment);
    let of = |wanted: &[&str]| {
        let fits = |word: &str| wanted.iter().any(|known| word.starts_with(known));
        pairs.iter().find(|(_, word)| fits(word)).map(|(value, _)| value.clone())
    };
    let is_there = HERE.iter().any(|word| comment.contains(&format!("是否{word}")));
    let (yes, no) = (["是"], ["否"]);
    let (here, gone) = if is_there { (yes, no) } else { (no, yes) };
    let (here, gone) = (of(&HERE).or_else(|| of(&here))?, of(&GONE).or_else(|| of(&gone))?);
    (here != gone).then_some((here, gone))
}

/// The same, where the column's name says which of two numbers means what.
pub(super) fn of_name(name: &str) -> Option<(String, String)> {
    let name = super::words::plain(name);
    let (here, gone) = if name.ends_with("disabled") || name.ends_with("locked") {
        ("0", "1")
    } else if ["enabled", "enable", "active", "valid"].iter().any(|word| name.ends_with(word)) {
        ("1", "0")
    } else {
        return None;
    };
    Some((here.to_owned(), gone.to_owned()))
}

/// The pairs of a value and a word in a comment: `0代表存在`, `1：正常`, `正常-0`, `left 离职`.
fn pairs(comment: &str) -> Vec<(String, String)> {
    let mut tokens: Vec<String> = Vec::new();
    let mut last = None;
    for letter in comment.chars() {
        let kind = match letter {
            letter if letter.is_ascii_alphanumeric() || letter == '_' => Some(true),
            letter if letter.is_alphanumeric() => Some(false),
            _ => None,
        };
        match (kind, tokens.last_mut()) {
            (Some(_), Some(token)) if kind == last => token.push(letter),
            (Some(_), _) => tokens.push(letter.to_string()),
            (None, _) => {}
        }
        last = kind;
    }
    let is_value = |token: &str| token.is_ascii();
    let word = |token: &str| {
        let rest = ["代表", "表示", "为"].iter().find_map(|link| token.strip_prefix(link)).unwrap_or(token);
        rest.to_owned()
    };
    let first_value = tokens.iter().position(|token| is_value(token));
    // `0 正常` unless the first word of the kind comes before any value.
    let is_word_first = first_value.is_some_and(|at| at > 0 && at + 1 == tokens.len())
        || tokens.last().is_some_and(|token| is_value(token)) && first_value.is_some_and(|at| at > 0);
    tokens
        .windows(2)
        .filter_map(|pair| match (is_value(&pair[0]), is_value(&pair[1])) {
            (true, false) if !is_word_first => Some((pair[0].clone(), word(&pair[1]))),
            (false, true) if is_word_first => Some((pair[1].clone(), word(&pair[0]))),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_tells_the_values() {
        let told = |comment: &str| of_comment(comment).map(|(here, gone)| format!("{here} {gone}"));
        for (comment, values) in [
            ("帐号状态（0正常 1停用）", "0 1"),
            ("删除标志（0代表存在 2代表删除）", "0 2"),
            ("状态(1：正常  2：冻结 ）", "1 2"),
            ("删除状态(0-正常,1-已删除)", "0 1"),
            ("状态：active 在职，locked 锁定（本地），left 离职", "active left"),
            ("状态（1启用，0不启用）", "1 0"),
            ("是否删除：0否 1是", "0 1"),
            ("是否启用 1是 0否", "1 0"),
            ("状态 正常-0 停用-1", "0 1"),
        ] {
            assert_eq!(told(comment).as_deref(), Some(values), "{comment}");
        }
        for comment in ["", "状态", "状态（见字典 user_status）", "身份（1 普通成员 2 上级）"]
        {
            assert_eq!(told(comment), None, "{comment}");
        }
    }
}
