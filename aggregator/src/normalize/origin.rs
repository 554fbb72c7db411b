//! [`Origin`]: what the context of a frame says about all lines of one of its sources.
//!
//! In: the frame's context and source table, and the roster. Out: the fields that every event of that
//! source has in common, made once per (frame, source) and shared by all of its events.

use std::fmt;

use shared::identity::AgentId;

use super::Format;
use crate::event::{Field, Value};
use crate::schema::{self, Attribute};

/// A container that the lines of a source came from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Container {
    /// `device.container.uid`, the full id.
    pub uid: String,
    /// `device.container.name`, where it is known.
    pub name: Option<String>,
}

/// Where the lines of one source of one frame come from.
#[derive(Clone, Debug)]
pub struct Origin {
    /// `device.uid`: who said it, from its certificate.
    pub agent: AgentId,
    /// `metadata.product.version`.
    pub agent_version: String,
    /// `device.hostname`; empty where the frame does not say.
    pub hostname: String,
    /// `device.boot_uid`.
    pub boot_id: Option<String>,
    /// Minutes east of UTC that the host's clock stood at: for times in lines that name no zone.
    pub utc_offset_minutes: i32,
    /// `metadata.source`: the source's name in the fleet file.
    pub source_name: String,
    /// `metadata.log_source` and the product's feature: `file`, `journald`, …
    pub source_type: String,
    /// How its lines are read.
    pub format: Format,
    /// `metadata.log_name`: path, unit or channel.
    pub log_name: Option<String>,
    /// `device.container`.
    pub container: Option<Container>,
    /// `device.groups[].name`, from the roster.
    pub group: Option<String>,
    /// `metadata.labels[]`, from the roster.
    pub labels: Vec<String>,
    /// `metadata.tenant_uid`, from the roster.
    pub tenant: Option<String>,
    /// `device.zone`, from the roster.
    pub zone: Option<String>,
}

impl Default for Origin {
    /// A nameless host in UTC whose lines are recognized by themselves.
    fn default() -> Self {
        Self {
            agent: AgentId::default(),
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
            hostname: String::new(),
            boot_id: None,
            utc_offset_minutes: 0,
            source_name: String::new(),
            source_type: "file".to_owned(),
            format: Format::AUTO,
            log_name: None,
            container: None,
            group: None,
            labels: Vec::new(),
            tenant: None,
            zone: None,
        }
    }
}

/// `device.type_id` 1: a server.
const DEVICE_TYPE_SERVER: i64 = 1;
/// `os.type_id` 200: Linux, the system that the agent runs on.
const OS_TYPE_LINUX: i64 = 200;

impl Origin {
    /// What all events of this source have in common ([`Event::shared`](crate::event::Event::shared)).
    #[must_use]
    pub fn fields(&self) -> Vec<Field<'static>> {
        let mut fields = Vec::with_capacity(21 + self.labels.len());
        let mut push = |attribute, index, value: Value<'static>| fields.push(Field { attribute, index, value });
        push(Attribute::MetadataVersion, 0, schema::VERSION.into());
        push(Attribute::MetadataProductName, 0, "Picket".into());
        push(Attribute::MetadataProductVendorName, 0, "Picket".into());
        push(Attribute::MetadataProductVersion, 0, self.agent_version.clone().into());
        push(Attribute::MetadataProductFeatureName, 0, self.source_type.clone().into());
        push(Attribute::MetadataProfiles, 0, "host".into());
        push(Attribute::MetadataLogSource, 0, self.source_type.clone().into());
        push(Attribute::DeviceUid, 0, self.agent.to_string().into());
        push(Attribute::DeviceTypeId, 0, DEVICE_TYPE_SERVER.into());
        push(Attribute::DeviceOsName, 0, "Linux".into());
        push(Attribute::DeviceOsTypeId, 0, OS_TYPE_LINUX.into());
        let said = |text: &String| (!text.is_empty()).then(|| text.clone());
        let optional = [
            (Attribute::DeviceHostname, said(&self.hostname)),
            (Attribute::DeviceBootUid, self.boot_id.clone()),
            (Attribute::DeviceGroupName, self.group.clone()),
            (Attribute::DeviceZone, self.zone.clone()),
            (Attribute::MetadataTenantUid, self.tenant.clone()),
            (Attribute::MetadataSource, said(&self.source_name)),
            (Attribute::MetadataLogName, self.log_name.clone()),
        ];
        for (attribute, text) in optional {
            if let Some(text) = text {
                push(attribute, 0, text.into());
            }
        }
        for (index, label) in (0..).zip(&self.labels) {
            push(Attribute::MetadataLabels, index, label.clone().into());
        }
        if let Some(container) = &self.container {
            push(Attribute::MetadataProfiles, 1, "container".into());
            push(Attribute::DeviceContainerUid, 0, container.uid.clone().into());
            if let Some(name) = &container.name {
                push(Attribute::DeviceContainerName, 0, name.clone().into());
            }
        }
        fields
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}", self.source_name, self.hostname)
    }
}
