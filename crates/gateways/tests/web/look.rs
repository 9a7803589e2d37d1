//! The pages to look at: `cargo test --release -p atoll-gateways --test web -- --ignored look`,
//! then sign in at http://127.0.0.1:8099 (or at `ATOLL_LOOK`) as `ada`, password `a long enough password`.

use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "serves until it is stopped"]
async fn serve_for_looking() {
    let world = World::on(&std::env::var("ATOLL_LOOK").unwrap_or("127.0.0.1:8099".into())).await;
    world.people().await;
    let secret = world.apps.accounts.make_setup_secret().await.map_err(|error| error.to_string());
    println!("http://{} ({secret:?})", world.host);
    std::future::pending::<()>().await;
}
