//! Random changes of the menu in the model and in the ledger.

use super::*;

impl Game<'_> {
    /// Changes a group: prices, availability, defaults, bounds; or an option is removed or added.
    pub(super) async fn edit_menu(&mut self) -> Result<(), String> {
        let at = self.random.random_range(0..self.groups.len());
        let group = self.groups[at].clone();
        let mut new: Vec<NewOption> = (0..group.options.len()).map(|n| kept(&group, n)).collect();
        let which = self.random.random_range(0..new.len());
        match self.random.random_range(0..5) {
            0 => new[which].available = !new[which].available,
            1 => new[which].price = euros(self.random.random_range(-150..300)),
            2 => new[which].is_default = !new[which].is_default,
            3 if new.len() > 1 => drop(new.remove(which)),
            _ => new.push(self.new_option()),
        }
        let defaults = new.iter().filter(|one| one.is_default).count();
        let max = self
            .random
            .random_range(1..4)
            .max(u32::try_from(defaults).unwrap());
        let edit = OptionGroupEdit {
            min: Some(self.random.random_range(0..=max.min(1))),
            max: Some(max),
            options: Some(new),
            ..OptionGroupEdit::default()
        };
        let ledger = &self.scene.house.ledger;
        let edited = ledger.edit_option_group(group.id, Some(group.version), edit);
        self.groups[at] = edited.await.unwrap();
        Ok(())
    }

    pub(super) fn new_option(&mut self) -> NewOption {
        let product = self.random.random_range(0..self.counted.len() + 2);
        NewOption {
            available: self.random.random_range(0..6) > 0,
            is_default: false,
            product_id: self.counted.get(product).copied(),
            ..super::super::option("one", self.random.random_range(-150..300))
        }
    }
}
