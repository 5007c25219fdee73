//! The cache server beside nginx with the same files, both loaded by the same programs.
//!
//! `wrk` asks on one thread, so that a server has most of two cores; uploads are sent from here.
//! The two servers take turns, and every run gives one ratio: what else the machine does falls
//! upon both.

use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::report::Section;
use super::running::{self, Running, free_port, load};
use super::samples::Samples;
use super::server_input::{self, Inputs, Object};
use crate::process;
use crate::project::{Profile, Project};

pub(crate) const NAME: &str = "server";

const SECONDS: &str = "-d3s";
/// Uploads that are sent at the same time.
const UPLOADS: usize = 4;
/// Half of them idle, half of them with an answer that nobody reads.
const CONNECTIONS: usize = 1000;
const MOST_MEMORY: f64 = 150.0;

/// One kind of load on both servers.
#[derive(Debug)]
struct Row {
    work: &'static str,
    unit: &'static str,
    ours: Samples,
    nginx: Samples,
    ratio: Samples,
    goal: Option<f64>,
}

/// Measures all of it below `folder`.
pub(crate) fn run(
    project: &Project,
    folder: &Path,
    profile: Profile,
    runs: usize,
) -> Result<Section> {
    let wrk = process::found("wrk").context("`wrk` is not here")?;
    let nginx = process::found("nginx").context("`nginx` is not here")?;
    let binary = running::build_ours(project, profile)?;
    fs::create_dir_all(folder)?;
    let inputs = server_input::make(folder)?;
    let load_before = load();
    let ours = Running::ours(&binary, &folder.join("ours"), &[])?;
    let unsynced = Running::ours(&binary, &folder.join("unsynced"), &["--no-sync"])?;
    let nginx = Running::nginx(&nginx, &folder.join("nginx"))?;
    for server in [&ours, &nginx] {
        let all = [
            &inputs.contents,
            &inputs.often,
            &inputs.seldom,
            &inputs.blobs,
        ];
        all.into_iter()
            .try_for_each(|objects| server.put_all(objects).map(drop))?;
    }
    let mut rows = Vec::new();
    for (work, objects, connections, goal) in [
        ("GET of 256 records of 4 KiB", &inputs.often, 64, Some(0.7)),
        (
            "GET of 5120 records of 4 KiB",
            &inputs.seldom,
            64,
            Some(0.7),
        ),
        ("GET of blobs of 8 MiB", &inputs.blobs, 8, Some(0.9)),
    ] {
        let script = folder.join("paths.lua");
        fs::write(&script, lua(objects))?;
        let ask = |server: &Running| asked(&wrk, &script, connections, server);
        rows.push(compare(work, "1/s", runs, goal, || {
            Ok((ask(&ours)?, ask(&nginx)?))
        })?);
    }
    let upload = |server: &Running| server.uploaded(&inputs.uploads);
    for (work, server) in [
        ("PUT of blobs of 8 MiB, synced", &ours),
        ("PUT of blobs of 8 MiB, --no-sync", &unsynced),
    ] {
        rows.push(compare(work, "1/s", runs, None, || {
            Ok((upload(server)?, upload(&nginx)?))
        })?);
    }
    let memory = memory(&ours, &inputs)?;
    let load = (load_before, load());
    Ok(Section {
        name: NAME,
        table: table(&rows, memory, &load),
        json: as_json(&rows, memory, &load),
        n_failed: 0,
    })
}

fn compare(
    work: &'static str,
    unit: &'static str,
    runs: usize,
    goal: Option<f64>,
    mut measure: impl FnMut() -> Result<(f64, f64)>,
) -> Result<Row> {
    let (mut ours, mut nginx, mut ratio) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..runs {
        let (us, peer) = measure()?;
        ours.push(us);
        nginx.push(peer);
        ratio.push(us / peer);
    }
    let row = Row {
        work,
        unit,
        ours: Samples::of(ours)?,
        nginx: Samples::of(nginx)?,
        ratio: Samples::of(ratio)?,
        goal,
    };
    println!("bench: {work}: {:.2} of nginx", row.ratio.median());
    Ok(row)
}

/// A script that asks for all paths in turn.
fn lua(objects: &[Object]) -> String {
    let paths: Vec<String> = objects.iter().map(|o| format!("'{}'", o.path)).collect();
    format!(
        "local paths = {{{}}}\nlocal n = 0\n\
         request = function() n = n % #paths + 1 return wrk.format('GET', paths[n]) end\n",
        paths.join(",")
    )
}

fn asked(wrk: &Path, script: &Path, connections: u32, server: &Running) -> Result<f64> {
    let mut command = Command::new(wrk);
    command.args(["-t1", &format!("-c{connections}"), SECONDS, "-s"]);
    command
        .arg(script)
        .arg(format!("http://{}", server.address));
    let said = process::stdout(&mut command)?;
    ensure!(
        !said.contains("Non-2xx"),
        "not all answers were good:\n{said}"
    );
    let rate = said
        .lines()
        .find_map(|line| line.strip_prefix("Requests/sec:")?.trim().parse().ok());
    rate.with_context(|| format!("`wrk` printed no rate:\n{said}"))
}

impl Running {
    fn nginx(nginx: &Path, dir: &Path) -> Result<Self> {
        fs::create_dir_all(dir.join("files"))?;
        let port = free_port()?;
        let config = dir.join("nginx.conf");
        fs::write(&config, nginx_config(&dir.display().to_string(), port))?;
        let mut command = Command::new(nginx);
        command
            .arg("-c")
            .arg(&config)
            .arg("-p")
            .arg(dir)
            .args(["-e", "stderr"]);
        Self::start(&mut command, port)
    }

    /// Uploads objects from some threads; gives what it took.
    fn put_all(&self, objects: &[Object]) -> Result<Duration> {
        self.each(objects, "PUT", |status| (200..300).contains(&status))
    }

    /// Uploads objects that are not there, and removes them; gives how many it took in a second.
    fn uploaded(&self, objects: &[Object]) -> Result<f64> {
        let took = self.put_all(objects)?;
        self.each(objects, "DELETE", |status| status == 204)?;
        let n = u32::try_from(objects.len()).context("few uploads")?;
        Ok(f64::from(n) / took.as_secs_f64())
    }

    fn each(&self, objects: &[Object], method: &str, good: fn(u16) -> bool) -> Result<Duration> {
        let start = Instant::now();
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..UPLOADS)
                .map(|worker| {
                    scope.spawn(move || {
                        let mut stream = TcpStream::connect(&self.address)?;
                        for object in objects.iter().skip(worker).step_by(UPLOADS) {
                            let status = request(&mut stream, method, object)?;
                            ensure!(good(status), "{method} {} gave {status}", object.path);
                        }
                        anyhow::Ok(())
                    })
                })
                .collect();
            workers
                .into_iter()
                .try_for_each(|worker| match worker.join() {
                    Ok(done) => done,
                    Err(_) => bail!("a worker ended early"),
                })
        })?;
        Ok(start.elapsed())
    }
}

/// Sends one request and gives the status of its answer.
fn request(stream: &mut TcpStream, method: &str, object: &Object) -> Result<u16> {
    let body = if method == "PUT" {
        object.body()?
    } else {
        Vec::new()
    };
    write!(
        stream,
        "{method} {} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n",
        object.path,
        body.len()
    )?;
    stream.write_all(&body)?;
    status(stream)
}

/// Reads an answer whose body is short; gives its status.
fn status(stream: &mut TcpStream) -> Result<u16> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
    let mut lines = head.lines();
    let status = lines
        .next()
        .and_then(|line| line.split(' ').nth(1)?.parse().ok());
    let length = lines.find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length.map_or(Ok(0), str::parse)?;
    stream.read_exact(&mut vec![0; length])?;
    status.with_context(|| format!("an answer without a status: {head}"))
}

/// What our server holds when all these are connected.
fn memory(server: &Running, inputs: &Inputs) -> Result<f64> {
    let blob = inputs.blobs.first().context("there are blobs")?;
    let mut open = Vec::new();
    for n in 0..CONNECTIONS {
        let mut stream = TcpStream::connect(&server.address)?;
        let path = if n % 2 == 0 { "/healthz" } else { &blob.path };
        write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n")?;
        let mut first = [0; 12];
        stream.read_exact(&mut first)?;
        ensure!(&first == b"HTTP/1.1 200", "a connection was not answered");
        open.push(stream);
    }
    server.resident()
}

fn nginx_config(dir: &str, port: u16) -> String {
    format!(
        "daemon off;\nuser root;\nworker_processes auto;\npid {dir}/pid;\nerror_log {dir}/errors;\n\
         events {{ worker_connections 4096; }}\n\
         http {{\n  access_log off;\n  sendfile on;\n  tcp_nopush on;\n\
         keepalive_requests 1000000000;\n  client_max_body_size 0;\n\
         client_body_temp_path {dir}/bodies;\n  proxy_temp_path {dir}/proxy;\n\
         fastcgi_temp_path {dir}/fastcgi;\n  uwsgi_temp_path {dir}/uwsgi;\n\
         scgi_temp_path {dir}/scgi;\n\
         server {{\n  listen 127.0.0.1:{port};\n  root {dir}/files;\n\
         location / {{ dav_methods PUT DELETE; create_full_put_path on; }}\n  }}\n}}\n"
    )
}

fn table(rows: &[Row], memory: f64, load: &(String, String)) -> String {
    let mut out = String::from("| work | acetate | nginx | ratio | from | to | to reach |\n");
    out.push_str("|---|---|---|---|---|---|---|\n");
    for row in rows {
        let goal = row
            .goal
            .map_or_else(|| "-".to_owned(), |goal| format!("{goal:.1}"));
        // Writing to a String cannot fail.
        let _: std::fmt::Result = writeln!(
            out,
            "| {} | {:.0} {} | {:.0} {} | {:.2} | {:.2} | {:.2} | {goal} |",
            row.work,
            row.ours.median(),
            row.unit,
            row.nginx.median(),
            row.unit,
            row.ratio.median(),
            row.ratio.min(),
            row.ratio.max(),
        );
    }
    let (before, after) = load;
    let _: std::fmt::Result = write!(
        out,
        "\n- {memory:.0} MiB at {CONNECTIONS} connections, half of them idle and half with an answer \
         that nobody reads; to reach: {MOST_MEMORY:.0}\n\
         - load of the machine: {before} before, {after} after\n",
    );
    out
}

fn as_json(rows: &[Row], memory: f64, load: &(String, String)) -> Value {
    let rows = rows.iter().map(|row| {
        json!({
            "work": row.work,
            "unit": row.unit,
            "acetate": row.ours.all(),
            "nginx": row.nginx.all(),
            "ratio": row.ratio.median(),
            "goal": row.goal,
            "reached": row.goal.map(|goal| row.ratio.median() >= goal),
        })
    });
    json!({
        "rows": rows.collect::<Vec<_>>(),
        "memory_mib": memory,
        "memory_reached": memory <= MOST_MEMORY,
        "load": [load.0, load.1],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ratio_is_that_of_each_run() {
        let mut measured = [(50.0, 100.0), (300.0, 300.0), (80.0, 100.0)].into_iter();
        let next = || measured.next().context("three runs");
        let row = compare("GET", "1/s", 3, Some(0.7), next).unwrap();
        let table = table(&[row], 99.4, &("0.10".into(), "2.00".into()));
        let line = "| GET | 80 1/s | 100 1/s | 0.80 | 0.50 | 1.00 | 0.7 |";
        assert!(table.contains(line), "{table}");
        assert!(table.contains("- 99 MiB at 1000") && table.contains("0.10 before, 2.00 after"));
    }
}
