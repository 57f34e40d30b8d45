//! Every model in the table matches the given family.

use prompt_templates::match_model;

#[test]
fn every_model_of_the_table_has_its_family() {
    let table = include_str!("../../../fixtures/prompt-templates/models.tsv");
    for line in table.lines().filter(|line| !line.starts_with('#')) {
        let (model, wanted) = line.split_once('\t').unwrap();
        let found = match_model(model);
        let family = found.family.map_or("unknown", |family| family.name());
        assert_eq!(family, wanted, "{model}: {:?}", found.reason);
    }
}
