//! `router_settings`, and the limits of deployments.

use llm_gateway::{Config, ConfigError};
use llm_router::Router;

use crate::support::registry;

const MODELS: &str = "
model_list:
  - {model_name: a, litellm_params: {model: acme/x, api_key: k, rpm: 60, order: 1}}
  - {model_name: a, litellm_params: {model: acme/y, api_key: k, max_parallel_requests: 3}}
  - model_name: b
    litellm_params: {model: acme/z, api_key: k, input_cost_per_token: 0.000001}
    model_info: {max_input_tokens: 1000, output_cost_per_token: 2e-6, supports_assistant_prefill: true,
      prefill_params: {continue_final_message: true}}
  - {model_name: wild/*, litellm_params: {model: acme/*, api_key: k}}
";

fn config(settings: &str) -> Result<Config, ConfigError> {
    Config::parse(&format!("{MODELS}{settings}"), &registry(), &|_| None)
}

#[test]
fn errors_of_routing_are_reported_with_those_of_other_sections() {
    let error = config(
        "router_settings: {fallbacks: [{a: [zz]}], weight: -1, num_retries: -1}\n\
         general_settings: {master_key: os.environ/UNSET}\n",
    );
    let error = error.unwrap_err().to_string();
    for part in ["zz", "num_retries", "UNSET"] {
        assert!(error.contains(part), "{part}: {error}");
    }
}

fn router(config: Config) -> Router {
    config
        .router
        .with_deployments(config.deployments)
        .build()
        .unwrap()
}

#[test]
fn the_settings_of_the_router_are_read_without_warnings() {
    let config = config(
        "
litellm_settings:
  fallbacks: [{a: [b]}]
  allowed_fails: 2
  cache: true
  cache_params: {type: local, ttl: 60, namespace: team, mode: default_off, capacity: 8, supported_call_types: [acompletion]}
router_settings:
  routing_strategy: least-busy
  model_group_alias: {gpt-4: a, secret: {model: b, hidden: true}}
  num_retries: 3
  retry_policy: {TimeoutErrorRetries: 0, RateLimitErrorRetries: 5}
  fallbacks: [{a: [b, wild/c]}, {'*': [b]}]
  context_window_fallbacks: [{b: [a]}]
  content_policy_fallbacks: {b: wild/c}
  max_fallbacks: 2
  cooldown_time: 0.5
  enable_pre_call_checks: true
  optional_pre_call_checks: [enforce_model_rate_limits, session_affinity]
  deployment_affinity_ttl_seconds: 60
  default_max_parallel_requests: 50
  deadline: 30
  queue: {capacity: 10, timeout: 5}
  hedge: {after: 2}
  enable_tag_filtering: true
  default_priority: 9
  continue_streams: true
",
    );
    let config = config.unwrap_or_else(|error| panic!("{error}"));
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    let [x, y, z, ..] = &config.deployments[..] else {
        panic!("four deployments");
    };
    assert_eq!((x.limits.rpm, x.order), (Some(60), 1));
    assert_eq!(x.limits.max_parallel_requests, Some(50));
    assert_eq!(y.limits.max_parallel_requests, Some(3));
    assert_eq!(z.context_window, Some(1000));
    let prices = z.prices.unwrap();
    assert_eq!(
        (prices.input_token, prices.output_token),
        (Some(1e-6), Some(2e-6))
    );
    let router = router(config);
    let names: Vec<&str> = router.groups().collect();
    assert_eq!(names, ["a", "b", "gpt-4", "wild/*"]);
}

#[test]
fn rates_are_weights_unless_they_are_enforced() {
    for (settings, rpm) in [
        ("", None),
        ("router_settings: {routing_strategy: simple-shuffle}", None),
        (
            "router_settings: {routing_strategy: usage-based-routing-v2}",
            Some(60),
        ),
        (
            "router_settings: {routing_strategy: usage-based-routing}",
            Some(60),
        ),
    ] {
        let config = config(settings).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(config.deployments[0].limits.rpm, rpm, "{settings}");
    }
}

#[test]
fn a_wildcard_is_a_model_group() {
    let config = config("router_settings: {fallbacks: [{a: [wild/any/model]}]}");
    let config = config.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(config.deployments[3].model, "*");
    assert!(router(config).groups().any(|name| name == "wild/*"));
    let error = self::config("router_settings: {fallbacks: [{a: [tame/x]}]}").unwrap_err();
    assert!(
        error
            .to_string()
            .contains("there is no model group `tame/x`")
    );
}

#[test]
fn all_contradictions_are_reported_at_their_settings() {
    let settings = "
litellm_settings:
  default_fallbacks: [none]
router_settings:
  model_group_alias: {x: lost}
  fallbacks: [{a: [c]}, {nobody: [a]}]
";
    let error = config(settings).unwrap_err();
    let first = MODELS.lines().count() + 1;
    let problems = error.problems().iter();
    let problems: Vec<_> = problems
        .map(|problem| (problem.at.unwrap().line - first, problem.message.as_str()))
        .collect();
    let missing = |line, place, name| (line, format!("{place}: there is no model group `{name}`"));
    let expected = [
        missing(4, "model_group_alias, `x`", "lost"),
        missing(5, "fallbacks, `a`", "c"),
        missing(5, "fallbacks, `nobody`", "nobody"),
        missing(2, "default_fallbacks", "none"),
    ];
    assert_eq!(problems.len(), expected.len(), "{problems:?}");
    for (place, message) in expected {
        let is_there = |(line, text): &(usize, &str)| *line == place && text.starts_with(&message);
        assert!(problems.iter().any(is_there), "{message}: {problems:?}");
    }
}

#[test]
fn a_contradiction_is_reported_at_its_entry() {
    let settings = "
  - model_name: x*y*
    litellm_params: {model: acme/x, api_key: k}
router_settings:
  model_group_alias:
    good: a
    bad: lost
  fallbacks:
    - a: [b]
    - b:
        - none
";
    let error = Config::parse(
        &format!("{}{settings}", MODELS.trim_end()),
        &registry(),
        &|_| None,
    );
    let error = error.unwrap_err();
    let first = MODELS.trim_end().lines().count();
    let lines = error
        .problems()
        .iter()
        .map(|problem| problem.at.unwrap().line - first);
    let mut lines: Vec<_> = lines.collect();
    lines.sort_unstable();
    assert_eq!(lines, [1, 6, 9], "{error}");
}

#[test]
fn a_contradiction_is_an_error_with_a_place_and_a_fix() {
    for (settings, expected) in [
        (
            "router_settings: {fallbacks: [{a: [c]}]}",
            "fallbacks, `a`: there is no model group `c`",
        ),
        (
            "router_settings: {fallbacks: [{a: [b]}, {b: [a]}]}",
            "fallbacks, `a`: the group falls back to itself",
        ),
        (
            "router_settings: {model_group_alias: {x: lost}}",
            "model_group_alias, `x`: there is no model group `lost`",
        ),
        (
            "router_settings: {model_group_alias: {x: {hidden: true}}}",
            "this alias has no `model`",
        ),
        (
            "router_settings: {fallbacks: 5}",
            "`fallbacks` has to be a list",
        ),
        (
            "router_settings: {default_fallbacks: [[a]]}",
            "an entry of the list has to be a name",
        ),
        (
            "router_settings: {routing_strategy: least-bussy}",
            "did you mean `least-busy`?",
        ),
        (
            "router_settings: {retry_policy: {TimeoutErrorRetries: 18446744073709551615}}",
            "has to be a whole number from 0 to 100",
        ),
        (
            "router_settings: {cooldown_time: 1000000}",
            "cooldown_time: has to be at most a day",
        ),
    ] {
        let error = config(settings).unwrap_err().to_string();
        assert!(error.contains(expected), "{error} instead of {expected}");
        assert!(error.lines().all(|line| !line.is_empty()), "{error}");
    }
}

#[test]
fn redis_is_shared_where_the_build_has_it() {
    for settings in [
        "router_settings: {redis_host: localhost, redis_port: 6379, redis_password: 'hunter2/@'}",
        "router_settings: {redis_host: '::1', redis_port: '6380', redis_db: 2}",
        "router_settings: {redis_url: 'redis://:hunter2@localhost:6379/1'}",
        "router_settings: {redis_url: 'rediss://:hunter2@localhost'}",
        "router_settings: {redis_host: localhost, redis_ssl: true}",
        "litellm_settings: {cache: true, cache_params: {type: redis, host: h, password: hunter2}}",
        "litellm_settings: {cache: true, cache_params: {type: redis, host: h, ssl: true}}",
    ] {
        let config = config(settings);
        assert_eq!(config.is_ok(), cfg!(feature = "redis"), "{settings}");
        match config {
            Ok(config) => {
                assert!(config.warnings.is_empty(), "{:?}", config.warnings);
                assert!(!format!("{config:?}").contains("hunter2"));
                assert!(config.build_router().shared_state().is_some());
            }
            Err(error) => {
                let error = error.to_string();
                assert!(error.contains("--features full"), "{error}");
                assert!(!error.contains("hunter2"), "{error}");
            }
        }
    }
    let error = config("litellm_settings: {cache: true, cache_params: {type: redis}}");
    let error = error.unwrap_err().to_string();
    assert!(
        error.contains("the cache `redis` has no address"),
        "{error}"
    );
    // Without a host, there is no server.
    let config = config("router_settings: {redis_password: hunter2}").unwrap();
    assert!(config.build_router().shared_state().is_none());
    let [warning] = &config.warnings[..] else {
        panic!("{:?}", config.warnings);
    };
    assert!(!warning.to_string().contains("hunter2"));
}

#[test]
fn a_deployment_without_a_weight_beside_one_with_a_weight_is_a_warning() {
    let models = |weight: &str| {
        let text = format!(
            "model_list:
  - {{model_name: a, litellm_params: {{model: acme/x, api_key: k{weight}}}}}
  - {{model_name: a, litellm_params: {{model: acme/y, api_key: k, weight: 2}}}}
  - {{model_name: b, litellm_params: {{model: acme/y, api_key: k}}}}
"
        );
        Config::parse(&text, &registry(), &|_| None).unwrap()
    };
    assert!(models(", weight: 1").warnings.is_empty());
    assert!(models(", weight: 0").warnings.is_empty());
    let config = models("");
    assert_eq!(config.deployments[0].weight, 0);
    let warnings: Vec<String> = config.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "2:45: warning: this deployment of \"a\" gets calls only if the others fail: another one \
             sets `weight`, and it does not\n    help: set `weight` on each deployment of the model"
        ]
    );
}
