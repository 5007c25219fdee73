/// What differs from run to run, and the marks that stand for it in cases and outcomes.
#[derive(Debug, Clone)]
pub(super) struct Places {
    /// The directory of the case.
    pub(super) dir: String,
    /// A word of its own in the names of its contexts.
    pub(super) id: String,
    /// `http://127.0.0.1:PORT`, where there is a server.
    pub(super) http: Option<String>,
    /// `git://127.0.0.1:PORT`, where there is a server.
    pub(super) git: Option<String>,
}

impl Places {
    fn pairs(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let servers = [("{http}", &self.http), ("{git}", &self.git)];
        let servers = servers
            .into_iter()
            .filter_map(|(mark, place)| Some((mark, place.as_deref()?)));
        servers.chain([("{dir}", self.dir.as_str()), ("{id}", self.id.as_str())])
    }

    /// Puts the places where their marks are.
    pub(super) fn filled(&self, text: &str) -> String {
        self.pairs().fold(text.to_owned(), |text, (mark, place)| {
            text.replace(mark, place)
        })
    }

    /// Puts the marks where the places are.
    pub(super) fn marked(&self, text: &str) -> String {
        self.pairs().fold(text.to_owned(), |text, (mark, place)| {
            text.replace(place, mark)
        })
    }
}
