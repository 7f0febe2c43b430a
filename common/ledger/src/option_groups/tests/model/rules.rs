//! The rules of the model: choices that fit, prices, and what an order holds.

use super::*;

impl ModelLine {
    pub(super) fn unit(&self) -> i64 {
        let options = self.options.values();
        BASE + options
            .map(|(quantity, price, _)| i64::from(*quantity) * price)
            .sum::<i64>()
    }
}

impl ModelOrder {
    pub(super) fn holds(&self, products: usize) -> Vec<i64> {
        let mut holds = vec![0; products];
        for line in self.lines.iter().filter(|_| !self.is_draft) {
            holds[0] += i64::from(line.quantity);
            for (quantity, _, product) in line.options.values() {
                if let Some(product) = product {
                    holds[*product] += i64::from(line.quantity) * i64::from(*quantity);
                }
            }
        }
        holds
    }
}

impl Game<'_> {
    /// Returns the line as it is sold today; an error if the options do not fit, and true if one is unavailable.
    pub(super) fn choose(
        &self,
        quantity: u32,
        asked: &[(OptionId, u32)],
        is_repeated: bool,
    ) -> Option<(ModelLine, bool)> {
        let mut line = ModelLine {
            quantity,
            options: BTreeMap::new(),
        };
        let mut is_unavailable = false;
        let mut known = 0;
        for group in &self.groups {
            let ids: Vec<OptionId> = group.options.iter().map(|one| one.id).collect();
            let named: BTreeMap<OptionId, u32> = asked
                .iter()
                .filter(|(id, _)| ids.contains(id))
                .copied()
                .collect();
            known += named.len();
            let takes_defaults = named.is_empty() && (!is_repeated || group.min >= 1);
            let mut sum = 0;
            for one in &group.options {
                let by_default = u32::from(takes_defaults && one.is_default);
                let quantity = named.get(&one.id).copied().unwrap_or(by_default);
                sum += quantity;
                if quantity > 0 {
                    is_unavailable |= !one.available;
                    let product = one
                        .product_id
                        .map(|id| self.counted.iter().position(|one| *one == id).unwrap());
                    line.options.insert(one.id, (quantity, one.price, product));
                }
            }
            if !(group.min..=group.max).contains(&sum) {
                return None;
            }
        }
        // Foreign ones and those that are named twice.
        (known == asked.len() && line.unit() >= 0).then_some((line, is_unavailable))
    }

    /// Returns the result that the model expects of an order with these lines instead of what it holds.
    pub(super) fn judge(
        &self,
        lines: &[Option<(ModelLine, bool)>],
        is_draft: bool,
        held: &[i64],
    ) -> Said {
        if lines.iter().any(Option::is_none) {
            return Said::Wrong;
        }
        if is_draft {
            return Said::Done;
        }
        if lines
            .iter()
            .flatten()
            .any(|(_, is_unavailable)| *is_unavailable)
        {
            return Said::OptionUnavailable;
        }
        let order = ModelOrder {
            is_draft,
            lines: lines
                .iter()
                .flatten()
                .map(|(line, _)| line.clone())
                .collect(),
        };
        self.judge_stock(&order, held)
    }

    pub(super) fn judge_stock(&self, order: &ModelOrder, held: &[i64]) -> Said {
        let holds = order.holds(self.counted.len());
        let mut all = holds.iter().zip(held).zip(&self.left);
        if all.any(|((holds, held), left)| holds - held > *left) {
            Said::Short
        } else {
            Said::Done
        }
    }
}
