use super::*;

fn jobs(lines: &[Value]) -> Result<Vec<JobSpec>, Error> {
    let mut sessions = Sessions::new(Path::new("trace.jsonl"));
    for (number, line) in (1..).zip(lines) {
        match line.get("turns") {
            Some(_) => sessions.add(number, SessionLine::deserialize(line).unwrap())?,
            None => sessions.add_turn(number, TurnLine::deserialize(line).unwrap())?,
        }
    }
    sessions.jobs()
}

#[test]
fn helpers_are_a_part_of_the_job_that_starts_them() {
    let text = |text: &str| json!({"text": text, "output_length": 3});
    let found = jobs(&[
        json!({"session_id": "root", "timestamp": 5.0, "turns": [
            {"messages": [{"role": "user", "content": "plan"}], "max_tokens": 9,
             "spawns": ["a", {"children": ["b"], "join_at": 2}]},
            {"input_length": 40, "delay": 250.0, "extra": {"top_k": 1}},
        ]}),
        json!({"session_id": "a", "turns": [text("x")]}),
        json!({"session_id": "b", "turns": [text("y"), text("z")]}),
        json!({"session_id": "other", "turns": [text("w")]}),
    ])
    .unwrap();
    assert_eq!(found.len(), 2);
    let root = &found[1];
    assert_eq!((root.timestamp, root.requests()), (Some(5.0), 5));
    let [first, second] = &root.root.turns[..] else {
        panic!("{root:?}")
    };
    let joins: Vec<_> = first
        .helpers
        .iter()
        .map(|helpers| helpers.join_at)
        .collect();
    assert_eq!(joins, [1, 2]);
    assert_eq!((second.delay, second.input_length), (250.0, Some(40)));
    assert_eq!(second.parameters["top_k"], 1);
}

#[test]
fn lines_of_a_session_are_its_turns() {
    let found = jobs(&[
        json!({"session_id": "s", "timestamp": 0, "input_length": 300, "output_length": 40}),
        json!({"session_id": "t", "messages": [{"role": "user", "content": "x"}]}),
        json!({"session_id": "s", "delay": 2, "input_length": 150, "output_length": 20}),
    ])
    .unwrap();
    let turns: Vec<_> = found.iter().map(|job| job.root.turns.len()).collect();
    assert_eq!(turns, [1, 2]);
    assert!(found[0].root.turns[0].is_whole, "messages are a history");
    assert!(!found[1].root.turns[1].is_whole);
}

#[test]
fn invalid_jobs_are_errors_with_their_line() {
    let turn = json!({"text": "x"});
    let with = |spawns: Value| json!([{"text": "x", "spawns": spawns}]);
    for (lines, expected) in [
        (vec![json!({"turns": []})], "trace.jsonl:1: turns"),
        (vec![json!({"turns": [{}]})], "no messages"),
        (
            vec![json!({"session_id": "a", "turns": with(json!(["b"]))})],
            "no line has the session_id \"b\"",
        ),
        (
            vec![
                json!({"session_id": "a", "turns": with(json!(["b", "b"]))}),
                json!({"session_id": "b", "turns": [turn]}),
            ],
            "started twice",
        ),
        (
            vec![
                json!({"session_id": "a", "turns": with(json!(["b"]))}),
                json!({"session_id": "b", "turns": with(json!(["a"]))}),
            ],
            "in a circle",
        ),
        (
            vec![
                json!({"session_id": "a", "turns": with(json!([{"children": ["b"], "join_at": 4}]))}),
                json!({"session_id": "b", "turns": [turn]}),
            ],
            "join_at 4",
        ),
        (
            vec![json!({"turns": [{"text": "x", "delay": -1}]})],
            "delay",
        ),
        (
            vec![json!({"session_id": "a", "message_mode": "x", "text": "x"})],
            "message_mode",
        ),
    ] {
        let error = jobs(&lines).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}
