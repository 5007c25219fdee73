use crate::explanations;
use acetate_engine::{BuildEvent, EventSink, VertexInfo, VertexOutcome};
use acetate_oci::{Digest, Timestamp};
use base64::Engine as _;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io::Write;
use std::sync::{Mutex, PoisonError};

/// Writes one JSON object a line, in the shape of BuildKit's solve status.
#[derive(Debug)]
pub(crate) struct RawJson<W: Write> {
    state: Mutex<State<W>>,
}

#[derive(Debug)]
struct State<W> {
    out: W,
    vertices: HashMap<Digest, (VertexInfo, Option<Timestamp>)>,
}

impl<W: Write> RawJson<W> {
    /// Writes to `out`.
    pub(crate) fn new(out: W) -> Self {
        Self {
            state: Mutex::new(State {
                out,
                vertices: HashMap::new(),
            }),
        }
    }
}

impl<W: Write + Send> EventSink for RawJson<W> {
    fn event(&self, event: BuildEvent) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(object) = state.object(event) else {
            return;
        };
        if let Err(error) = writeln!(state.out, "{object}") {
            tracing::debug!(%error, "progress cannot be written");
        }
    }
}

impl<W> State<W> {
    fn object(&mut self, event: BuildEvent) -> Option<Value> {
        match event {
            BuildEvent::Vertex(info) => {
                self.vertices.insert(info.digest, (info, None));
                None
            }
            BuildEvent::Started { vertex, at } => {
                self.vertices.get_mut(&vertex)?.1 = Some(at);
                Some(json!({ "vertexes": [self.vertex(vertex, None)?] }))
            }
            BuildEvent::Finished {
                vertex,
                at,
                outcome,
            } => Some(json!({ "vertexes": [self.vertex(vertex, Some((at, outcome)))?] })),
            BuildEvent::Log {
                vertex,
                at,
                stream,
                data,
            } => {
                let data = base64::engine::general_purpose::STANDARD.encode(data);
                let log =
                    json!({ "vertex": vertex, "stream": stream, "data": data, "timestamp": at });
                Some(json!({ "logs": [log] }))
            }
            BuildEvent::Status(status) => {
                let mut object = json!({
                    "id": status.id, "vertex": status.vertex, "name": status.name,
                    "current": status.current, "total": status.total, "timestamp": status.at,
                    "started": status.started,
                });
                if status.completed {
                    object["completed"] = json!(status.at);
                }
                Some(json!({ "statuses": [object] }))
            }
            BuildEvent::Warning(diagnostic) => {
                let short = format!("{}: {}", diagnostic.code, diagnostic.message);
                Some(
                    json!({ "warnings": [{ "level": 1, "short": short, "detail": diagnostic.hint }] }),
                )
            }
            BuildEvent::Explained(explanation) => {
                Some(json!({ "explanations": [explanations::object(&explanation)] }))
            }
            BuildEvent::Dockerfile(_) => None,
        }
    }

    fn vertex(&self, digest: Digest, end: Option<(Timestamp, VertexOutcome)>) -> Option<Value> {
        let (info, started) = self.vertices.get(&digest)?;
        let mut object = json!({ "digest": digest, "inputs": info.inputs, "name": info.name });
        if let Some(started) = started {
            object["started"] = json!(started);
        }
        if let Some((at, outcome)) = end {
            object["completed"] = json!(at);
            match outcome {
                VertexOutcome::Done => {}
                VertexOutcome::Cached => object["cached"] = json!(true),
                VertexOutcome::Failed(message) => object["error"] = json!(message),
                VertexOutcome::Cancelled => object["error"] = json!("canceled"),
            }
        }
        Some(object)
    }
}

#[cfg(test)]
mod tests {
    use super::super::part::tests::status;
    use super::*;

    #[test]
    fn a_step_is_told_when_it_begins_and_ends() {
        let raw = RawJson::new(Vec::new());
        let digest = Digest::of(b"a");
        let info = VertexInfo {
            digest,
            inputs: vec![],
            name: "a".into(),
            origin: None,
        };
        raw.event(BuildEvent::Vertex(info));
        raw.event(BuildEvent::Started {
            vertex: digest,
            at: Timestamp::from_secs(0),
        });
        let (at, data) = (Timestamp::from_secs(1), b"hi".to_vec());
        raw.event(BuildEvent::Log {
            vertex: digest,
            at,
            stream: 2,
            data,
        });
        raw.event(BuildEvent::Finished {
            vertex: digest,
            at,
            outcome: VertexOutcome::Cached,
        });
        let text = String::from_utf8(raw.state.into_inner().unwrap().out).unwrap();
        let lines: Vec<Value> = text
            .lines()
            .map(|l| serde_json::from_str(l).unwrap())
            .collect();
        assert_eq!(lines.len(), 3);
        assert_eq!(lines[0]["vertexes"][0]["started"], "1970-01-01T00:00:00Z");
        assert_eq!(lines[1]["logs"][0]["data"], "aGk=");
        assert_eq!(lines[2]["vertexes"][0]["cached"], true);
        assert_eq!(lines[2]["vertexes"][0]["completed"], "1970-01-01T00:00:01Z");
    }

    #[test]
    fn a_blob_on_its_way_is_a_status_as_buildkit_has_it() {
        let raw = RawJson::new(Vec::new());
        let vertex = Digest::of(b"v");
        for (current, millis) in [(5_200_000, 400), (20_000_000, 1500)] {
            raw.event(BuildEvent::Status(status(vertex, current, millis)));
        }
        let text = String::from_utf8(raw.state.into_inner().unwrap().out).unwrap();
        let mut objects = text.lines().map(|line| {
            let object: Value = serde_json::from_str(line).unwrap();
            object["statuses"][0].clone()
        });
        let mut expected = json!({
            "id": Digest::of(b"blob"), "vertex": vertex, "name": "uploading",
            "current": 5_200_000, "total": 20_000_000, "started": "1970-01-01T00:00:00Z",
            "timestamp": "1970-01-01T00:00:00.4Z",
        });
        assert_eq!(objects.next(), Some(expected.clone()));
        expected["current"] = json!(20_000_000);
        expected["timestamp"] = json!("1970-01-01T00:00:01.5Z");
        expected["completed"] = json!("1970-01-01T00:00:01.5Z");
        assert_eq!(objects.next(), Some(expected));
    }
}
