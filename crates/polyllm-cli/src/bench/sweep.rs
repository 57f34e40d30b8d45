//! Executes the runs of an experiment. Each is written to disk before the next one starts.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use bench_report::markdown;
use llm_bench::summary::RunSummary;
use llm_bench::{
    FailureKind, Folder, Interrupts, LoadSearch, Outcome, Results, Run, RunEnd, Runner,
};

use crate::bench::INTERRUPTED;
use crate::bench::args::Bench;
use crate::bench::calibrate;
use crate::bench::distributed::Membership;
use crate::bench::option_values::{SearchKind, TimeUnit};
use crate::bench::permissions::Permissions;
use crate::bench::progress::{ProgressView, Style};
use crate::bench::report;
use crate::bench::setup::{Point, Setup};
use crate::output::{Colour, note, print};

pub(crate) async fn run(
    args: Bench,
    allowed: &Permissions,
    interrupts: Interrupts,
    mut member: Option<&mut Membership>,
) -> Result<ExitCode> {
    let json = args.output.json;
    let server = args.output.mlflow.server()?;
    let unit = args.output.metrics_time_unit;
    let base = args.output.experiment_base_dir.clone().unwrap_or_default();
    let named = args.output.experiment_folder_name.is_some();
    let calibrates = !args.measuring.no_calibration;
    let mut stopped = interrupts.clone();
    let mut setup = tokio::select! {
        setup = Setup::new(args, allowed) => setup?,
        // Loading a dataset may take a while.
        _ = stopped.wait_for(|count| *count > 0) => return Ok(ExitCode::from(INTERRUPTED)),
    };
    if let Some(member) = &mut member {
        member.set_worker_name(&mut setup.experiment);
    }
    if !named {
        free_name(&base, &mut setup.experiment.name)
            .with_context(|| format!("cannot write to {}", base.display()))?;
    }
    let path = base.join(&setup.experiment.name);
    if path.join("experiment_metadata.json").exists() {
        return Err(llm_bench::Error::Usage {
            option: "--experiment-folder-name",
            value: setup.experiment.name,
            reason: format!("{} already contains an experiment", path.display()),
        }
        .into());
    }
    let folder = Folder::create(&path, &setup.experiment)
        .with_context(|| format!("cannot write to {}", path.display()))?;
    let mut results = Results::default();
    results.experiment = setup.experiment.clone();
    let mut sweep = Sweep {
        setup,
        calibrates,
        folder,
        results,
        interrupts,
        style: Style::choose(json),
        unit,
        spent: 0.0,
        is_spent: false,
        number: 0,
        failure: None,
        is_hopeless: false,
        member,
    };
    let done = sweep.run_all().await;
    // After an error, the measurements so far are still reported.
    let status = sweep.finish(json)?;
    report::export(server.as_ref(), &path, &sweep.results).await;
    done?;
    if let Some(member) = sweep.member {
        member.set_results(sweep.results);
    }
    Ok(status)
}

/// Creates a folder of this name, or with a number: two experiments may start in the same second.
pub(crate) fn free_name(base: &Path, name: &mut String) -> io::Result<()> {
    fs::create_dir_all(base)?;
    let prefix = name.clone();
    let mut number = 1;
    loop {
        match fs::create_dir(base.join(&*name)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                number += 1;
                *name = format!("{prefix}_{number}");
            }
            made => return made,
        }
    }
}

struct Sweep<'a> {
    setup: Setup,
    /// Whether a short calibration follows each run.
    calibrates: bool,
    folder: Folder,
    results: Results,
    interrupts: Interrupts,
    style: Style,
    unit: TimeUnit,
    /// In dollars.
    spent: f64,
    /// Whether the last run ended at the cost limit.
    is_spent: bool,
    number: u32,
    /// The last failure.
    failure: Option<(FailureKind, String)>,
    /// Whether the last run ended because no request can succeed.
    is_hopeless: bool,
    /// Set if this machine is one of several that measure together.
    member: Option<&'a mut Membership>,
}

impl Sweep<'_> {
    async fn run_all(&mut self) -> Result<()> {
        for (at, point) in self.setup.points.clone().into_iter().enumerate() {
            let go_on = match self.setup.search {
                Some(kind) => self.search(kind, point).await?,
                None => self.run_point(&point).await?.is_some(),
            };
            if !go_on {
                break;
            }
            if self.is_hopeless {
                let left = self.setup.points.len() - at - 1;
                if left > 0 {
                    let text = format_args!(
                        "{} skipped, since no request can succeed; --keep-going runs them",
                        if left == 1 {
                            "1 more run is".to_owned()
                        } else {
                            format!("{left} more runs are")
                        }
                    );
                    note("stopping", Colour::Yellow, text);
                }
                break;
            }
        }
        Ok(())
    }

    /// Executes a run; `None` if there must be no more runs.
    async fn run_point(&mut self, point: &Point) -> Result<Option<f64>> {
        let budget = self.setup.experiment.limits.max_cost;
        let left = budget.map(|budget| budget - self.spent);
        let is_spent = self.is_spent || left.is_some_and(|left| left <= 0.0);
        if *self.interrupts.borrow() > 0 || is_spent {
            return Ok(None);
        }
        let spec = self.setup.spec(self.number, point)?.with_budget(left);
        self.number += 1;
        if let Some(member) = &mut self.member {
            let mut stopped = self.interrupts.clone();
            tokio::select! {
                ready = member.ready(self.number - 1) => ready?,
                _ = stopped.wait_for(|count| *count > 0) => return Ok(None),
            }
        }
        let mut live = ProgressView::new(
            self.style,
            &spec,
            point,
            self.setup.points.len(),
            self.number,
        );
        let runner = Runner::new(self.setup.settings(point), self.interrupts.clone());
        let mut run = runner.run(spec, &mut live).await?;
        live.finish();
        // After the load, so that nothing delays its start. An interrupted run ends at once.
        let bias = match self.calibrates && *self.interrupts.borrow() == 0 {
            true => calibrate::short(&run.load, &self.interrupts).await,
            false => None,
        };
        run.bias = bias;
        if self.results.experiment.bias.is_none() && bias.is_some() {
            self.results.experiment.bias = bias;
            self.setup.experiment.bias = bias;
            let written = self.folder.update(&self.setup.experiment);
            written.context("cannot write the experiment's metadata")?;
        }
        self.is_hopeless = run.end == RunEnd::Failing && !self.setup.keeps_going();
        self.is_spent = run.end == RunEnd::Cost;
        self.note_failure(&run);
        let summary = self
            .folder
            .add(&self.setup.experiment, &run)
            .context("cannot write the run's files")?;
        self.spent += summary.aggregated.extra.cost.unwrap_or(0.0);
        let share = summary
            .aggregated
            .extra
            .goodput
            .as_ref()
            .map_or(0.0, |good| good.share);
        let saturated = run.end == RunEnd::Saturated;
        let printed = self.style.print_summary(&summary, self.unit);
        // If the terminal is gone, the run is still part of the report.
        self.results.runs.push(summary);
        printed?;
        Ok(Some(if saturated { 0.0 } else { share }))
    }

    /// Searches the highest load at which enough requests meet the objectives.
    async fn search(&mut self, kind: SearchKind, mut point: Point) -> Result<bool> {
        let (max, attainment) = self.setup.search_limit();
        let mut search = LoadSearch::new(1.0, max);
        if matches!(kind, SearchKind::Concurrency) {
            search = search.with_min(1.0);
        }
        while let Some(load) = search.next_load() {
            point.load = self.setup.search_load(kind, load)?;
            match self.run_point(&point).await? {
                Some(share) => search.report(share >= attainment),
                None => return Ok(false),
            }
        }
        let found = found(kind, search.best(), max, attainment);
        let text = format!("{}: {found}", point.scenario);
        note("found", Colour::Yellow, &text);
        self.setup.experiment.found_loads.push(text);
        let found = &self.setup.experiment.found_loads;
        self.results.experiment.found_loads.clone_from(found);
        let written = self.folder.update(&self.setup.experiment);
        written.context("cannot write the experiment's metadata")?;
        Ok(true)
    }

    fn note_failure(&mut self, run: &Run) {
        let failed = run
            .records
            .iter()
            .rev()
            .find_map(|record| match &record.outcome {
                Outcome::Failed(failure) => Some((failure.kind, failure.message.clone())),
                _ => None,
            });
        self.failure = failed.or_else(|| self.failure.take());
    }

    fn finish(&self, json: bool) -> Result<ExitCode> {
        let files =
            report::write(&self.folder, &self.results).context("cannot write the reports")?;
        let interrupted = *self.interrupts.borrow() > 0;
        let completed = |run: &RunSummary| run.aggregated.num_completed_requests;
        let done: u64 = self.results.runs.iter().map(completed).sum();
        if !json {
            print(format_args!("\n{}\n", markdown(&self.results)))?;
            let page = files.iter().find(|file| file.ends_with("report.html"));
            let page: PathBuf = page
                .cloned()
                .unwrap_or_else(|| self.folder.path().to_owned());
            print(format_args!("Report: {}\n", page.display()))?;
        }
        if done == 0 {
            let what = match &self.failure {
                Some((kind, message)) => format!("{}: {message}", hint(*kind, message)),
                None => "no request succeeded".to_owned(),
            };
            note("error", Colour::Red, what);
        }
        Ok(match (interrupted, done) {
            (true, _) => ExitCode::from(INTERRUPTED),
            (false, 0) => ExitCode::FAILURE,
            (false, _) => ExitCode::SUCCESS,
        })
    }
}

/// The result of a search.
fn found(kind: SearchKind, best: Option<f64>, limit: f64, attainment: f64) -> String {
    let what = match kind {
        SearchKind::Concurrency => "concurrency",
        SearchKind::Rate => "rate",
    };
    let Some(best) = best else {
        return format!("no {what} meets the objectives");
    };
    // Higher loads were not tried.
    let best = match best >= limit {
        true => format!("at least {best}, the --search-limit"),
        false => best.to_string(),
    };
    format!(
        "the highest {what} at which {:.0} % of requests meet the objectives is {best}",
        attainment * 100.0
    )
}

/// A hint for the user.
fn hint(kind: FailureKind, message: &str) -> &'static str {
    match kind {
        FailureKind::Connect | FailureKind::Dns | FailureKind::Tls => {
            "no request succeeded: cannot connect (see --api-base)"
        }
        FailureKind::HttpStatus if message.starts_with("401") || message.starts_with("403") => {
            "no request succeeded: the key was rejected (see --api-key)"
        }
        FailureKind::HttpStatus if message.starts_with("404") => {
            "no request succeeded: unknown model or path (see --api-model-name)"
        }
        FailureKind::RateLimited => "no request succeeded: all exceeded the rate limit",
        FailureKind::Timeout => "no request succeeded: all timed out (see --timeout)",
        _ => "no request succeeded",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_that_ends_at_its_limit_found_a_lower_bound() {
        let text = found(SearchKind::Rate, Some(64.0), 64.0, 0.95);
        assert!(
            text.ends_with("is at least 64, the --search-limit"),
            "{text}"
        );
        let text = found(SearchKind::Concurrency, Some(37.0), 64.0, 0.95);
        assert!(
            text.ends_with("of requests meet the objectives is 37"),
            "{text}"
        );
        let text = found(SearchKind::Rate, None, 64.0, 0.95);
        assert_eq!(text, "no rate meets the objectives");
    }

    #[test]
    fn experiments_of_the_same_second_have_different_folders() {
        let base = tempfile::tempdir().unwrap();
        let names = [(); 3].map(|()| {
            let mut name = "a".to_owned();
            free_name(base.path(), &mut name).unwrap();
            name
        });
        assert_eq!(names, ["a", "a_2", "a_3"]);
    }
}
