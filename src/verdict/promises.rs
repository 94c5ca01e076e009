//! Promises that are made where the user made none, or asked for those of the payments workload.

use super::objective::Objective;

/// The target table of the payments tools: operation, p95 of response time, rate, errors.
const PAYMENTS: [(&str, &str, &str, &str); 3] = [
    ("create_payment", "150ms", "1000/s", "0.1%"),
    ("verify_payment", "50ms", "5000/s", "0.01%"),
    ("get_wallet_balance", "25ms", "10000/s", "0.001%"),
];

/// What is promised where the user promised nothing: fewer than one arrival in ten fails.
pub fn default_objectives() -> Vec<Objective> {
    vec![built_in("error_rate < 10%")]
}

/// The promises of a payments server: for each of its three tools p95, error rate and sustained rate.
pub fn payments_objectives() -> Vec<Objective> {
    let promises = PAYMENTS.iter().flat_map(|(operation, p95, rate, errors)| {
        [
            format!("p95({operation}) < {p95}"),
            format!("error_rate({operation}) < {errors}"),
            format!("rate({operation}) >= {rate}"),
        ]
    });
    promises.map(|text| built_in(&text)).collect()
}

fn built_in(text: &str) -> Objective {
    text.parse().expect("a built-in objective can be read")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_payments_table_has_nine_promises_and_the_default_one() {
        let texts: Vec<String> = payments_objectives().iter().map(ToString::to_string).collect();
        assert_eq!(texts.len(), 9);
        assert_eq!(texts[0], "p95(create_payment) < 150ms");
        assert_eq!(texts[4], "error_rate(verify_payment) < 0.01%");
        assert_eq!(texts[7], "error_rate(get_wallet_balance) < 0.001%");
        assert!(texts[8].starts_with("rate(get_wallet_balance) >= 10000"));
        assert_eq!(default_objectives()[0].to_string(), "error_rate < 10%");
    }
}
