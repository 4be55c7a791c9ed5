//! The shop: users who look at things, order some of them, and say how they liked them.
//!
//! Users and products are the same for every seed and every stream, and the order that feedback speaks
//! of is the one that the same seed makes, so the streams of sources with one seed belong together.

use std::fmt::Write;

use headworks_plan::ShopRecords;

use super::instant;
use super::seeded_rng::{Popular, Purpose, SeededRng};

const USERS: u64 = 2_000;
const PRODUCTS: u64 = 200;
/// Codes and names of the categories.
const CATEGORIES: [(&str, &str); 8] = [
    ("KIT", "kitchen"),
    ("GAR", "garden"),
    ("BOO", "books"),
    ("TOY", "toys"),
    ("SPO", "sports"),
    ("OFF", "office"),
    ("PET", "pets"),
    ("ELE", "electronics"),
];
/// Codes, and what they take off in per cent.
const COUPONS: [(&str, u64); 3] = [("WELCOME10", 10), ("SPRING5", 5), ("VIP20", 20)];
const WAREHOUSES: [&str; 3] = ["berlin", "lyon", "porto"];
/// How far back an order may lie that feedback speaks of.
const RECENT: u64 = 100;
/// Of a hundred customers so many give the stars from 1 to 5.
const STARS: [u64; 5] = [10, 8, 12, 25, 45];
const COMMENTS: [[&str; 3]; 5] = [
    ["broken on arrival", "never again", "not what was shown"],
    ["late and dented", "poor quality", "parts are missing"],
    ["it does its job", "okay for the price", "average"],
    ["good", "works well", "nice, but slow to come"],
    ["love it", "perfect", "will buy again"],
];

/// Makes one kind of the shop's records.
#[derive(Clone, Debug)]
pub(super) struct Shop {
    records: ShopRecords,
    users: Popular,
    products: Popular,
}

impl Shop {
    pub(super) fn new(records: ShopRecords) -> Shop {
        Shop {
            records,
            users: Popular::new(USERS),
            products: Popular::new(PRODUCTS),
        }
    }

    /// The fields with their types, for messages.
    pub(super) fn fields(&self) -> &'static [(&'static str, &'static str)] {
        match self.records {
            ShopRecords::Clicks => &[
                ("click_id", "string"),
                ("user_id", "bigint"),
                ("session_id", "string"),
                ("page", "string"),
                ("product", "string, at times null"),
                ("clicked_at", "timestamp_ltz(3)"),
            ],
            ShopRecords::Orders => &[
                ("order_id", "string"),
                ("user_id", "bigint"),
                ("items", "array<struct<sku string, qty int>>"),
                ("amount", "decimal(12,2)"),
                ("coupon", "string, at times null"),
                ("placed_at", "timestamp_ltz(3)"),
            ],
            ShopRecords::Inventory => &[
                ("sku", "string"),
                ("warehouse", "string"),
                ("change", "int"),
                ("changed_at", "timestamp_ltz(3)"),
            ],
            ShopRecords::Feedback => &[
                ("feedback_id", "string"),
                ("order_id", "string"),
                ("user_id", "bigint"),
                ("stars", "int"),
                ("comment", "string, at times null"),
                ("given_at", "timestamp_ltz(3)"),
            ],
        }
    }

    /// Appends record `number`, which happened at `at_ms`.
    pub(super) fn write(&self, seed: u64, number: u64, at_ms: i64, out: &mut String) {
        match self.records {
            ShopRecords::Clicks => self.click(seed, number, at_ms, out),
            ShopRecords::Orders => self.order(seed, number, at_ms, out),
            ShopRecords::Inventory => self.change(seed, number, at_ms, out),
            ShopRecords::Feedback => self.feedback(seed, number, at_ms, out),
        }
    }

    fn user(&self, rng: &mut SeededRng) -> u64 {
        self.users.pick(rng) + 1
    }

    fn product(&self, rng: &mut SeededRng) -> Product {
        Product(self.products.pick(rng))
    }

    fn click(&self, seed: u64, number: u64, at_ms: i64, out: &mut String) {
        let mut rng = SeededRng::new(seed, number, Purpose::Content);
        let user = self.user(&mut rng);
        let session = rng.below(20);
        let product = self.product(&mut rng);
        let (page, sku) = match rng.below(100) {
            0..15 => ("/".to_owned(), None),
            15..30 => ("/search".to_owned(), None),
            30..55 => (format!("/category/{}", product.category().1), None),
            55..90 => (format!("/product/{}", product.sku()), Some(product.sku())),
            90..97 => ("/cart".to_owned(), Some(product.sku())),
            _ => ("/checkout".to_owned(), None),
        };
        let _ = write!(
            out,
            r#"{{"click_id":"c-{number:010}","user_id":{user},"session_id":"u-{user:04}-{session:02}","page":"{page}","product":{},"clicked_at":"{}"}}"#,
            text_or_null(sku.as_deref()),
            instant(at_ms),
        );
    }

    fn order(&self, seed: u64, number: u64, at_ms: i64, out: &mut String) {
        let mut rng = SeededRng::new(seed, number, Purpose::Order);
        let user = self.user(&mut rng);
        let _ = write!(
            out,
            r#"{{"order_id":"{}","user_id":{user},"items":["#,
            order_id(number)
        );
        let mut cents = 0;
        // More often few than many.
        let most = 1 + rng.below(4);
        for item in 0..=rng.below(most) {
            let product = self.product(&mut rng);
            let quantity = 1 + if rng.percent(25) { rng.below(4) } else { 0 };
            cents += product.cents() * quantity;
            let comma = if item == 0 { "" } else { "," };
            let _ = write!(
                out,
                r#"{comma}{{"sku":"{}","qty":{quantity}}}"#,
                product.sku()
            );
        }
        let coupon = rng.percent(20).then(|| rng.of(&COUPONS));
        if let Some((_, percent)) = coupon {
            cents -= cents * percent / 100;
        }
        let _ = write!(
            out,
            r#"],"amount":"{}.{:02}","coupon":{},"placed_at":"{}"}}"#,
            cents / 100,
            cents % 100,
            text_or_null(coupon.map(|(code, _)| *code)),
            instant(at_ms),
        );
    }

    fn change(&self, seed: u64, number: u64, at_ms: i64, out: &mut String) {
        let mut rng = SeededRng::new(seed, number, Purpose::Content);
        let sku = self.product(&mut rng).sku();
        let warehouse = rng.of(&WAREHOUSES);
        // Much goes out in small numbers, and comes in large ones.
        let change = if rng.percent(8) {
            20 + rng.below(180) as i64
        } else {
            -1 - rng.below(5) as i64
        };
        let _ = write!(
            out,
            r#"{{"sku":"{sku}","warehouse":"{warehouse}","change":{change},"changed_at":"{}"}}"#,
            instant(at_ms),
        );
    }

    fn feedback(&self, seed: u64, number: u64, at_ms: i64, out: &mut String) {
        let mut rng = SeededRng::new(seed, number, Purpose::Content);
        let order = number - rng.below((number + 1).min(RECENT));
        let user = self.user(&mut SeededRng::new(seed, order, Purpose::Order));
        let mut left = rng.below(STARS.iter().sum());
        let mut stars = 0;
        while left >= STARS[stars] {
            left -= STARS[stars];
            stars += 1;
        }
        let comment = (!rng.percent(40)).then(|| *rng.of(&COMMENTS[stars]));
        let _ = write!(
            out,
            r#"{{"feedback_id":"f-{number:010}","order_id":"{}","user_id":{user},"stars":{},"comment":{},"given_at":"{}"}}"#,
            order_id(order),
            stars + 1,
            text_or_null(comment),
            instant(at_ms),
        );
    }
}

/// A product, by its rank in popularity.
#[derive(Clone, Copy, Debug)]
struct Product(u64);

impl Product {
    fn category(self) -> (&'static str, &'static str) {
        CATEGORIES[(self.0 % CATEGORIES.len() as u64) as usize]
    }

    fn sku(self) -> String {
        format!("{}-{:04}", self.category().0, self.0 + 1)
    }

    fn cents(self) -> u64 {
        let mut rng = SeededRng::new(0, self.0, Purpose::Price);
        (1 + rng.below(150)) * 100 - 1
    }
}

fn order_id(number: u64) -> String {
    format!("o-{number:010}")
}

/// None of the shop's texts has anything to escape.
fn text_or_null(text: Option<&str>) -> String {
    text.map_or_else(|| "null".to_owned(), |text| format!("\"{text}\""))
}
