//! Command lines of genai-bench.

use std::fs;

use llm_sim::Timing;
use serde_json::Value;

use crate::support::{Bench, MODEL, number, runs};

#[test]
fn options_without_effect_are_accepted_with_a_note() {
    let bench = Bench::new(Timing::default());
    let (_, errors, code) = bench.run(&format!(
        "--api-base $BASE {MODEL} --traffic-scenario 'D(5,2)' --num-concurrency 1 \
         --max-requests-per-run 9 --max-requests-per-run 4 --experiment-folder-name e \
         --log-dir logs --master-port 5557 --upload-results --storage-provider aws \
         --storage-bucket b --model-tokenizer meta-llama/Llama-3.1-8B"
    ));
    assert_eq!(code, 0, "{errors}");
    for said in [
        "--log-dir has no effect",
        "--master-port has no effect",
        "aws s3 cp --recursive FOLDER",
        "--model-tokenizer meta-llama/Llama-3.1-8B: not found",
    ] {
        assert!(errors.contains(said), "{said}: {errors}");
    }
    // Of an option that is given twice, the last one counts.
    let run = &runs(&bench.folder.path().join("e"))[0];
    assert_eq!(number(run, "num_completed_requests"), 4.0);
}

#[test]
fn the_calibration_is_in_the_metadata() {
    let bench = Bench::new(Timing::default());
    let (_, errors, code) = bench.run(&format!(
        "--api-base $BASE {MODEL} --traffic-scenario 'D(5,2)' --num-concurrency 2 \
         --max-requests-per-run 4 --experiment-folder-name e"
    ));
    assert_eq!(code, 0, "{errors}");
    let metadata = fs::read(bench.folder.path().join("e/experiment_metadata.json")).unwrap();
    let metadata: Value = serde_json::from_slice(&metadata).unwrap();
    let bias = &metadata["polyllm"]["bias"];
    assert_eq!(bias["concurrency"], 2);
    let of_run = &runs(&bench.folder.path().join("e"))[0]["polyllm"]["run"]["bias"];
    assert_eq!(of_run, bias);
    assert!(bias["requests"].as_u64().unwrap() >= 16, "{bias}");
}
