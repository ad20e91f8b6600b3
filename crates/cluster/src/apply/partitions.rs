//! Single partitions go where somebody wants them, whatever placement would say.
//!
//! What must hold: the layout that comes of it keeps the rule for every keyspace, as all layouts do; loads may be less even, for
//! a partition is moved so because it is not worth what others are.

use ring::relocate;
use types::{NodeId, PartitionId};

use super::Parts;
use crate::command::Refused;

impl Parts {
    pub(super) fn move_partition(
        &mut self,
        partition: PartitionId,
        from: Option<&str>,
        to: &str,
    ) -> Result<(), Refused> {
        if self.is_merging {
            return Err(Refused::because(
                "partitions are being merged, and halves go where the other half is: wait for that, or call it off \
                 (`henge partition merge --cancel`)",
            ));
        }
        let to = self.staying_node(to)?;
        let from = from.map(|from| self.place_of(from)).transpose()?.map(|place| self.members[place].id);
        let data_center =
            self.members.iter().find(|member| member.id == to).map(|member| &member.data_center);
        let data_center = data_center.cloned().unwrap_or_default();
        let each = self.keyspaces.iter().map(|keyspace| keyspace.n.in_data_center(&data_center));
        let replicas = each.max().unwrap_or(0);
        let staying = self.staying();
        let rings = relocate(&self.target().rings, &staying, replicas, partition, (from, to))
            .map_err(|error| Refused::because(self.in_names(&error.to_string())))?;
        self.lay_out(rings)
    }

    fn staying_node(&self, name: &str) -> Result<NodeId, Refused> {
        let member = &self.members[self.place_of(name)?];
        if !member.standing.stays() {
            return Err(Refused::because(format!("{name} is leaving: it gets no more partitions")));
        }
        Ok(member.id)
    }

    /// A sentence of the ring's, with what people call the nodes. The higher numbers first, for `n#1` begins `n#12`.
    fn in_names(&self, text: &str) -> String {
        let mut members: Vec<_> = self.members.iter().collect();
        members.sort_by_key(|member| std::cmp::Reverse(member.id));
        members
            .iter()
            .fold(text.to_owned(), |text, member| text.replace(&member.id.to_string(), &member.name))
    }
}
