use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use llm_sim::{Sim, SimOptions, Timing};
use serde_json::Value;
use tempfile::{TempDir, tempdir};
use tokio::runtime::Runtime;

pub(crate) const KEY: &str = "tgp_v1_very-secret";

/// A simulation, and a folder that is deleted on drop.
pub(crate) struct Bench {
    pub(crate) runtime: Runtime,
    sim: Option<Sim>,
    pub(crate) folder: TempDir,
}

impl Bench {
    pub(crate) fn new(timing: Timing) -> Self {
        let runtime = Runtime::new().unwrap();
        let options = SimOptions::default().with_timing(timing);
        let sim = runtime.block_on(Sim::start(options)).unwrap();
        Self {
            runtime,
            sim: Some(sim),
            folder: tempdir().unwrap(),
        }
    }

    pub(crate) fn sim(&self) -> &Sim {
        self.sim.as_ref().unwrap()
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// `polyllm bench` in the folder. The shell is replaced by it, so that signals reach it.
    pub(crate) fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new("bash");
        let bench = format!("exec {} bench {arguments}", env!("CARGO_BIN_EXE_polyllm"));
        command
            .args(["-c", &bench])
            .current_dir(&self.folder)
            .stdin(Stdio::null());
        for variable in [
            "TOGETHERAI_API_KEY",
            "TOGETHER_BASE_URL",
            "MODEL_API_KEY",
            "HF_TOKEN",
            "HF_HUB_CACHE",
            "HF_HUB_OFFLINE",
            "MLFLOW_EXPERIMENT_NAME",
            "MLFLOW_TRACKING_PASSWORD",
            "MLFLOW_TRACKING_TOKEN",
            "MLFLOW_TRACKING_USERNAME",
            "POLYLLM_LOG",
        ] {
            command.env_remove(variable);
        }
        command
            .env("TOGETHER_API_KEY", KEY)
            .env("BASE", self.sim().together_url())
            // No cache of the machine, and no network.
            .env("HF_HOME", self.folder.path().join("huggingface"))
            .env("HF_ENDPOINT", "http://127.0.0.1:9")
            .env("HF_DATASETS_SERVER", "http://127.0.0.1:9");
        command
    }

    #[track_caller]
    pub(crate) fn run(&self, arguments: &str) -> (String, String, i32) {
        let Output {
            stdout,
            stderr,
            status,
        } = self.command(arguments).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (text(stdout), text(stderr), status.code().unwrap())
    }

    /// Runs with `name` as the results' folder; must succeed.
    #[track_caller]
    pub(crate) fn measure(&self, name: &str, arguments: &str) -> Vec<Value> {
        let (_, errors, code) = self.run(&format!(
            "--api-base $BASE --experiment-folder-name {name} --no-calibration {arguments}"
        ));
        assert_eq!(code, 0, "{errors}");
        runs(&self.folder.path().join(name))
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        if let Some(sim) = self.sim.take() {
            self.runtime.block_on(sim.shutdown());
        }
    }
}

/// The files of an experiment's runs, by name.
pub(crate) fn runs(folder: &Path) -> Vec<Value> {
    let files = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let is_run = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name.ends_with(".json") && name != "experiment_metadata.json"
    };
    let mut files: Vec<_> = files.filter(is_run).collect();
    files.sort();
    let read = |path: &PathBuf| serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    files.iter().map(read).collect()
}

pub(crate) fn number(run: &Value, field: &str) -> f64 {
    run["aggregated_metrics"][field].as_f64().unwrap()
}

pub(crate) const MODEL: &str = "--api-model-name meta-llama/Llama-2-7b-chat-hf";
