//! The departments as a tree, as the view `ding_v_department` shows it: kept in memory, because a person's row may need a
//! path and a path needs them all.

use std::collections::BTreeMap;

use crate::store::TreeNode;

/// Between two names of a path.
const SEPARATOR: &str = "/";

/// All current departments of an organisation.
#[derive(Debug, Default)]
pub(super) struct Tree {
    nodes: BTreeMap<i64, Node>,
    children: BTreeMap<i64, Vec<i64>>,
}

#[derive(Debug)]
struct Node {
    parent: Option<i64>,
    name: String,
    managers: Vec<String>,
}

impl Tree {
    pub(super) fn new(departments: Vec<TreeNode>) -> Self {
        let mut tree = Self::default();
        for department in departments {
            if let Some(parent) = department.parent_id {
                tree.children.entry(parent).or_default().push(department.dept_id);
            }
            let managers =
                department.manager_userids.as_deref().and_then(|json| serde_json::from_str(json).ok());
            let node = Node {
                parent: department.parent_id,
                name: department.name,
                managers: managers.unwrap_or_default(),
            };
            tree.nodes.insert(department.dept_id, node);
        }
        tree
    }

    /// A department and those above it as far as they are known, the top one first; empty for one that is not known.
    pub(super) fn path(&self, id: i64) -> Vec<i64> {
        let mut path = Vec::new();
        let mut next = Some(id);
        while let Some((id, node)) = next.and_then(|id| Some((id, self.nodes.get(&id)?))) {
            // Two departments in each other, which a half-seen move can look like, have no top.
            if path.contains(&id) {
                break;
            }
            path.push(id);
            next = node.parent;
        }
        path.reverse();
        path
    }

    pub(super) fn name(&self, id: i64) -> Option<&str> {
        self.nodes.get(&id).map(|node| node.name.as_str())
    }

    /// The names of a path.
    pub(super) fn full_name(&self, path: &[i64]) -> String {
        path.iter().filter_map(|id| self.name(*id)).collect::<Vec<_>>().join(SEPARATOR)
    }

    /// Those who lead a department.
    pub(super) fn managers(&self, id: i64) -> &[String] {
        self.nodes.get(&id).map_or(&[], |node| &node.managers)
    }

    /// The departments that somebody leads.
    pub(super) fn led_by<'a>(&'a self, userid: &'a str) -> impl Iterator<Item = i64> + 'a {
        let leads = move |node: &Node| node.managers.iter().any(|manager| manager == userid);
        self.nodes.iter().filter(move |(_, node)| leads(node)).map(|(id, _)| *id)
    }

    /// Everything below a department, without itself.
    pub(super) fn below(&self, id: i64) -> Vec<i64> {
        let mut found = Vec::new();
        let mut next = vec![id];
        while let Some(parent) = next.pop() {
            for &child in self.children.get(&parent).into_iter().flatten() {
                if child != id && !found.contains(&child) {
                    found.push(child);
                    next.push(child);
                }
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(dept_id: i64, parent_id: Option<i64>, name: &str) -> TreeNode {
        let manager_userids = Some(format!("[\"m{dept_id}\"]"));
        TreeNode { dept_id, parent_id, name: name.to_owned(), manager_userids }
    }

    #[test]
    fn paths_begin_where_the_tree_is_known() {
        let tree = Tree::new(vec![
            node(1, None, "集团"),
            node(2, Some(1), "研发"),
            node(3, Some(2), "平台"),
            node(8, Some(7), "别处"),
        ]);
        assert_eq!(tree.full_name(&tree.path(3)), "集团/研发/平台");
        assert_eq!(tree.path(8), [8]);
        assert_eq!(tree.path(99), [0_i64; 0]);
        assert_eq!(tree.below(1), [2, 3]);
        assert_eq!(tree.led_by("m2").collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn departments_in_each_other_end() {
        let tree = Tree::new(vec![node(1, Some(2), "甲"), node(2, Some(1), "乙")]);
        assert_eq!(tree.path(1).len(), 2);
        assert_eq!(tree.below(1), [2]);
    }
}
