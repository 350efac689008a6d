//! Servers on this machine.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use sha2::{Digest, Sha256};

use crate::NAME;

pub(crate) fn content() -> Vec<u8> {
    (0..200_000u32).map(|index| (index % 251) as u8).collect()
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An address where nobody answers.
pub(crate) fn closed() -> String {
    format!("http://{}", TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap())
}

/// A server whose answer to a path and its headers is `page`: status, a header and a body.
pub(crate) fn pages(
    page: impl Fn(&str, &[String]) -> (&'static str, String, Vec<u8>) + Send + Sync + 'static,
) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let head = head_of(&stream);
            let path = head.first().and_then(|line| line.split(' ').nth(1)).unwrap_or_default().to_owned();
            let (status, header, body) = page(&path, &head);
            let length = body.len();
            let head =
                format!("HTTP/1.1 {status}\r\n{header}Content-Length: {length}\r\nConnection: close\r\n\r\n");
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
        }
    });
    url
}

fn head_of(stream: &TcpStream) -> Vec<String> {
    let lines = BufReader::new(stream.try_clone().unwrap()).lines();
    lines.map_while(Result::ok).take_while(|line| !line.is_empty()).collect()
}

/// What the server does with a request.
#[derive(Clone, Copy)]
pub(crate) enum Answer {
    Ranges,
    WholeFile,
    OtherFile,
    HalfThenClose,
    HalfThenSilence,
    NotFound,
}

pub(crate) struct Server {
    pub(crate) url: String,
    /// The first byte asked for by each request.
    requests: Arc<Mutex<Vec<usize>>>,
}

impl Server {
    /// Gives the answers in order, the last one for ever.
    pub(crate) fn start(answers: &'static [Answer]) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/files/{NAME}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        thread::spawn(move || {
            for (index, stream) in listener.incoming().enumerate() {
                let answer = answers[index.min(answers.len() - 1)];
                let seen = Arc::clone(&seen);
                thread::spawn(move || serve(stream.unwrap(), answer, &seen));
            }
        });
        Server { url, requests }
    }

    pub(crate) fn requests(&self) -> Vec<usize> {
        self.requests.lock().unwrap().clone()
    }
}

fn serve(mut stream: TcpStream, answer: Answer, requests: &Mutex<Vec<usize>>) {
    let head = head_of(&stream);
    let range =
        head.iter().find_map(|line| line.to_lowercase().strip_prefix("range: bytes=").map(str::to_owned));
    let start = range.map_or(0, |range| range.trim_end_matches('-').parse().unwrap());
    requests.lock().unwrap().push(start);
    let mut body = content();
    if let Answer::OtherFile = answer {
        body[7] ^= 1;
    }
    let total = body.len();
    let (status, from) = match answer {
        Answer::NotFound => ("404 Not Found", total),
        Answer::WholeFile | Answer::OtherFile => ("200 OK", 0),
        Answer::Ranges | Answer::HalfThenClose | Answer::HalfThenSilence if start > 0 => {
            ("206 Partial Content", start)
        }
        Answer::Ranges | Answer::HalfThenClose | Answer::HalfThenSilence => ("200 OK", 0),
    };
    let length = total - from;
    let header = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nContent-Range: bytes {from}-{}/{total}\r\n\
         Connection: close\r\n\r\n",
        total - 1
    );
    stream.write_all(header.as_bytes()).unwrap();
    let sent = match answer {
        Answer::HalfThenClose | Answer::HalfThenSilence => length / 2,
        Answer::Ranges | Answer::WholeFile | Answer::OtherFile | Answer::NotFound => length,
    };
    let _ = stream.write_all(&body[from..from + sent]);
    if let Answer::HalfThenSilence = answer {
        let _ = stream.read(&mut [0]);
    }
}
