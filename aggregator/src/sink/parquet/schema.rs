//! [`Layout`]: which columns an event class has, and where each attribute goes.
//!
//! A class comes in, the Parquet message type comes out together with the tables that the other files
//! work with. Dotted paths become nested groups, `[]` the standard three-level LIST. `time`, `class_uid`,
//! `metadata.uid` and the like come from the event itself and are required, as are the groups above them;
//! everything else is optional, so an object that an event does not have is null and not a row of nulls.
//!
//! Rows and the elements of each list are **spaces**: a column stands in one and says, by a bit for each
//! member of it, where it has a value. A group stands in one too: it is there where one of its columns is.

use std::num::NonZeroU16;
use std::sync::Arc;

use parquet::basic::{LogicalType, Repetition, TimeUnit, Type as Physical};
use parquet::errors::ParquetError;
use parquet::schema::types::{SchemaDescPtr, SchemaDescriptor, Type, TypePtr};

use crate::schema::{Attribute, Class, Kind};

/// Columns that [`Event`](crate::event::Event) itself fills, before the attributes of its class.
const OWN: [(&str, Source, Kind); 8] = [
    ("time", Source::Time, Kind::Long),
    ("class_uid", Source::ClassUid, Kind::Integer),
    ("class_name", Source::ClassName, Kind::Text),
    ("category_uid", Source::CategoryUid, Kind::Integer),
    ("activity_id", Source::ActivityId, Kind::Integer),
    ("type_uid", Source::TypeUid, Kind::Long),
    ("severity_id", Source::SeverityId, Kind::Integer),
    ("metadata.uid", Source::Uid, Kind::Text),
];

/// Attributes whose text is different in nearly every event: a dictionary would only cost.
const UNIQUE: [&str; 2] = ["message", "raw_data"];

/// Where the values of a column come from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Source {
    /// `time`, in milliseconds.
    Time,
    ClassUid,
    ClassName,
    CategoryUid,
    ActivityId,
    TypeUid,
    SeverityId,
    /// `metadata.uid`.
    Uid,
    /// A field of the event.
    Attribute,
    /// What has no column, as JSON.
    Unmapped,
}

/// One column.
#[derive(Clone, Debug)]
pub(super) struct Leaf {
    pub(super) source: Source,
    pub(super) kind: Kind,
    /// Its text is worth no dictionary.
    pub(super) unique: bool,
    /// The list that it stands in; `None` for a column of rows.
    pub(super) list: Option<usize>,
    /// Optional groups above it in its own space, the outermost first.
    pub(super) groups: Vec<usize>,
}

/// One list: its elements are a space.
#[derive(Clone, Debug)]
pub(super) struct ListNode {
    /// Optional groups above it, all of them of rows, the outermost first.
    pub(super) groups: Vec<usize>,
}

/// Where an attribute goes. Small, since the table of them is read for each field of each event.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    leaf: u16,
    list: Option<NonZeroU16>,
    pub(super) kind: Kind,
}

impl Slot {
    fn new(leaf: usize, list: Option<usize>, kind: Kind) -> Option<Self> {
        let number = |list: usize| NonZeroU16::new(u16::try_from(list + 1).ok()?);
        let list = match list {
            None => None,
            Some(list) => Some(number(list)?),
        };
        Some(Self { leaf: u16::try_from(leaf).ok()?, list, kind })
    }

    /// Number of its column.
    pub(super) fn leaf(self) -> usize {
        usize::from(self.leaf)
    }

    /// Number of the list that it stands in.
    pub(super) fn list(self) -> Option<usize> {
        self.list.map(|number| usize::from(number.get()) - 1)
    }
}

/// The columns of a class.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) class: Class,
    /// The message type.
    pub(super) schema: TypePtr,
    /// The same, as the writer wants it: one descriptor a leaf.
    pub(super) descriptor: SchemaDescPtr,
    /// Every column, in file order.
    pub(super) leaves: Vec<Leaf>,
    pub(super) lists: Vec<ListNode>,
    /// The space of every optional group: the list of whose elements it is, `None` for rows.
    pub(super) groups: Vec<Option<usize>>,
    /// Number of the column `time` (rows are sorted by it) and of `unmapped`.
    pub(super) time: usize,
    pub(super) unmapped: usize,
    slots: Vec<Option<Slot>>,
}

impl Layout {
    /// The columns of `class`: the event's own, its attributes in order, `unmapped`.
    pub(super) fn of(class: Class) -> Result<Self, ParquetError> {
        let mut root = Node::default();
        for (path, source, kind) in OWN {
            root.insert(path, Column { source, kind, attribute: None, required: true });
        }
        for attribute in class.attributes() {
            let column = Column {
                source: Source::Attribute,
                kind: attribute.kind(),
                attribute: Some(*attribute),
                required: false,
            };
            root.insert(attribute.path(), column);
        }
        root.insert(
            "unmapped",
            Column { source: Source::Unmapped, kind: Kind::Text, attribute: None, required: false },
        );

        let mut plan = Plan { slots: vec![None; Attribute::ALL.len()], ..Plan::default() };
        let fields = root.children.iter().map(|n| plan.visit(n, &Above::default())).collect::<Result<_, _>>()?;
        let schema = Arc::new(Type::group_type_builder("event").with_fields(fields).build()?);
        let find = |source| plan.leaves.iter().position(|l| l.source == source).unwrap_or_default();
        Ok(Self {
            class,
            descriptor: Arc::new(SchemaDescriptor::new(Arc::clone(&schema))),
            schema,
            time: find(Source::Time),
            unmapped: find(Source::Unmapped),
            leaves: plan.leaves,
            lists: plan.lists,
            groups: plan.groups,
            slots: plan.slots,
        })
    }

    /// The columns of all attributes, by their number.
    pub(super) fn slots(&self) -> &[Option<Slot>] {
        &self.slots
    }

    /// The column of an attribute; `None` where the class has none.
    pub(super) fn slot(&self, attribute: Attribute) -> Option<Slot> {
        self.slots.get(attribute as usize).copied().flatten()
    }
}

/// A column on its way into the tree.
#[derive(Clone, Copy)]
struct Column {
    source: Source,
    kind: Kind,
    attribute: Option<Attribute>,
    required: bool,
}

/// A node of the tree of paths.
#[derive(Default)]
struct Node {
    name: String,
    list: bool,
    column: Option<Column>,
    children: Vec<Node>,
}

impl Node {
    /// Adds a path. What cannot stand beside an earlier one (the same path, a value where another path
    /// has an object) gets no column: its values go to `unmapped`.
    fn insert(&mut self, path: &str, column: Column) {
        if self.column.is_some() {
            return;
        }
        let (segment, rest) = path.split_once('.').map_or((path, None), |(head, rest)| (head, Some(rest)));
        let name = segment.trim_end_matches("[]");
        let list = name.len() < segment.len();
        let known = self.children.iter().position(|child| child.name == name);
        let at = known.unwrap_or_else(|| {
            self.children.push(Self { name: name.to_owned(), list, ..Self::default() });
            self.children.len() - 1
        });
        let Some(child) = self.children.get_mut(at) else { return };
        match rest {
            Some(rest) if child.list == list => child.insert(rest, column),
            None if known.is_none() => child.column = Some(column),
            _ => {}
        }
    }

    fn required(&self) -> bool {
        !self.list && (self.column.is_some_and(|c| c.required) || self.children.iter().any(Self::required))
    }
}

/// What stands above a node.
#[derive(Clone, Default)]
struct Above {
    groups: Vec<usize>,
    list: Option<usize>,
}

#[derive(Default)]
struct Plan {
    leaves: Vec<Leaf>,
    lists: Vec<ListNode>,
    groups: Vec<Option<usize>>,
    slots: Vec<Option<Slot>>,
}

impl Plan {
    fn visit(&mut self, node: &Node, above: &Above) -> Result<TypePtr, ParquetError> {
        if !node.list {
            let repetition = if node.required() { Repetition::REQUIRED } else { Repetition::OPTIONAL };
            return self.value(node, &node.name, repetition, above);
        }
        let inside = Above { groups: Vec::new(), list: Some(self.lists.len()) };
        self.lists.push(ListNode { groups: above.groups.clone() });
        // An element that is an object has at least one attribute, so it is never null itself.
        let repetition = if node.column.is_some() { Repetition::OPTIONAL } else { Repetition::REQUIRED };
        let element = self.value(node, "element", repetition, &inside)?;
        let repeated = Type::group_type_builder("list")
            .with_repetition(Repetition::REPEATED)
            .with_fields(vec![element])
            .build()?;
        let list = Type::group_type_builder(&node.name)
            .with_repetition(Repetition::OPTIONAL)
            .with_logical_type(Some(LogicalType::List))
            .with_fields(vec![Arc::new(repeated)])
            .build()?;
        Ok(Arc::new(list))
    }

    /// A leaf or a group, without the list around it.
    fn value(
        &mut self,
        node: &Node,
        name: &str,
        repetition: Repetition,
        above: &Above,
    ) -> Result<TypePtr, ParquetError> {
        if let Some(column) = node.column {
            self.leaf(column, above);
            return Ok(Arc::new(primitive(name, column, repetition)?));
        }
        let mut below = above.clone();
        if repetition == Repetition::OPTIONAL {
            below.groups.push(self.groups.len());
            self.groups.push(above.list);
        }
        let fields = node.children.iter().map(|child| self.visit(child, &below)).collect::<Result<_, _>>()?;
        Ok(Arc::new(Type::group_type_builder(name).with_repetition(repetition).with_fields(fields).build()?))
    }

    fn leaf(&mut self, column: Column, above: &Above) {
        if let Some(slot) = column.attribute.and_then(|a| self.slots.get_mut(a as usize)) {
            *slot = Slot::new(self.leaves.len(), above.list, column.kind);
        }
        self.leaves.push(Leaf {
            source: column.source,
            kind: column.kind,
            unique: column.attribute.is_some_and(|a| UNIQUE.contains(&a.path())),
            list: above.list,
            groups: above.groups.clone(),
        });
    }
}

fn primitive(name: &str, column: Column, repetition: Repetition) -> Result<Type, ParquetError> {
    let (physical, logical) = match (column.source, column.kind) {
        (Source::Time, _) => (Physical::INT64, Some(LogicalType::timestamp(true, TimeUnit::MILLIS))),
        (_, Kind::Text) => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
        (_, Kind::Integer) => (Physical::INT32, None),
        (_, Kind::Long) => (Physical::INT64, None),
        (_, Kind::Bool) => (Physical::BOOLEAN, None),
        (_, Kind::Float) => (Physical::DOUBLE, None),
    };
    Type::primitive_type_builder(name, physical).with_repetition(repetition).with_logical_type(logical).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_has_a_layout_that_agrees_with_its_schema() {
        for class in Class::ALL {
            let layout = Layout::of(class).unwrap();
            assert_eq!(layout.descriptor.num_columns(), layout.leaves.len());
            for (leaf, column) in layout.leaves.iter().zip(layout.descriptor.columns()) {
                let optional = i16::from(column.self_type().is_optional());
                let list = leaf.list.map_or(0, |l| layout.lists[l].groups.len() + 2);
                let levels = i16::try_from(leaf.groups.len() + list).unwrap() + optional;
                assert_eq!(column.max_def_level(), levels, "{}", column.path());
                assert_eq!(column.max_rep_level(), i16::from(leaf.list.is_some()), "{}", column.path());
            }
            for attribute in class.attributes() {
                assert!(layout.slot(*attribute).is_some(), "{class:?} has no column for {}", attribute.path());
            }
            assert_eq!(layout.leaves[layout.time].source, Source::Time);
            assert_eq!(layout.unmapped, layout.leaves.len() - 1);
        }
    }

    #[test]
    fn objects_of_one_path_share_a_group_and_lists_have_three_levels() {
        let layout = Layout::of(Class::Authentication).unwrap();
        let paths: Vec<String> = layout.descriptor.columns().iter().map(|c| c.path().string()).collect();
        assert_eq!(paths[0], "time");
        for path in
            ["metadata.uid", "src_endpoint.ip", "observables.list.element.value", "metadata.profiles.list.element"]
        {
            assert!(paths.iter().any(|p| p == path), "{path} is missing");
        }
        let mut tops: Vec<&str> = paths.iter().map(|p| p.split('.').next().unwrap()).collect();
        tops.dedup();
        let count = tops.len();
        tops.sort_unstable();
        tops.dedup();
        assert_eq!(tops.len(), count, "a group stands in two places");
    }

    #[test]
    fn a_path_that_contradicts_another_gets_no_column() {
        let column = Column { source: Source::Attribute, kind: Kind::Text, attribute: None, required: false };
        let mut root = Node::default();
        for path in ["a.b", "a", "a.b", "a.b.c", "a[].b", "d[]", "d", "d[].e"] {
            root.insert(path, column);
        }
        let mut plan = Plan::default();
        let types: Vec<_> = root.children.iter().map(|n| plan.visit(n, &Above::default()).unwrap()).collect();
        assert_eq!(types.len(), 2);
        assert_eq!(plan.leaves.len(), 2);
    }
}
