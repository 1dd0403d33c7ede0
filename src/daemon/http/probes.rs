//! What a process without a stack of its own shows: whether it lives, and whether it is ready.

use async_trait::async_trait;
use hyper::{Method, StatusCode, Uri};

use super::{Answers, Reply};

/// `Ok` is 200, `Err` 503, each with its reason.
type Judgement = Box<dyn Fn() -> Result<String, String> + Send + Sync>;

/// `/healthz`, `/readyz`; nothing else.
pub struct Probes {
    pub alive: Judgement,
    pub ready: Judgement,
}

#[async_trait]
impl Answers for Probes {
    async fn answer(&self, method: &Method, uri: &Uri) -> Reply {
        if !matches!(*method, Method::GET | Method::HEAD) {
            return Reply::text(StatusCode::METHOD_NOT_ALLOWED, "this window is read-only: GET and HEAD");
        }
        let judged = match uri.path() {
            "/healthz" => (self.alive)(),
            "/" | "/readyz" => (self.ready)(),
            _ => return Reply::text(StatusCode::NOT_FOUND, "there are `/healthz` and `/readyz`"),
        };
        match judged {
            Ok(why) => Reply::text(StatusCode::OK, why),
            Err(why) => Reply::text(StatusCode::SERVICE_UNAVAILABLE, why),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_probe_says_what_it_judges_and_why() {
        let probes = Probes { alive: Box::new(|| Ok("ok".into())), ready: Box::new(|| Err("it leaves".into())) };
        let get = async |path: &str| {
            let reply = probes.answer(&Method::GET, &path.parse().unwrap()).await;
            (reply.status.as_u16(), String::from_utf8(reply.body.to_vec()).unwrap())
        };
        assert_eq!(get("/healthz").await, (200, "ok\n".into()));
        assert_eq!(get("/readyz").await, (503, "it leaves\n".into()));
        assert_eq!(get("/metrics").await.0, 404);
        let posted = probes.answer(&Method::POST, &"/healthz".parse().unwrap()).await;
        assert_eq!(posted.status.as_u16(), 405);
    }
}
