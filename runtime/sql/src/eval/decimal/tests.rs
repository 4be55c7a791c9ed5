use super::*;

const MONEY: Shape = Shape {
    precision: 12,
    scale: 2,
};

#[test]
fn result_shapes_are_flinks() {
    assert_eq!(
        MONEY.sum(MONEY),
        Shape {
            precision: 13,
            scale: 2
        }
    );
    assert_eq!(
        MONEY.product(MONEY),
        Shape {
            precision: 25,
            scale: 4
        }
    );
    assert_eq!(
        MONEY.quotient(MONEY),
        Shape {
            precision: 27,
            scale: 15
        }
    );
    let wide = Shape {
        precision: 38,
        scale: 10,
    };
    assert_eq!(
        wide.sum(wide),
        Shape {
            precision: 38,
            scale: 9
        }
    );
    assert_eq!(
        wide.product(wide),
        Shape {
            precision: 38,
            scale: 6
        }
    );
    assert_eq!(
        wide.quotient(Shape::INT),
        Shape {
            precision: 38,
            scale: 10
        }
    );
    assert_eq!(
        MONEY.rounded(0),
        Shape {
            precision: 11,
            scale: 0
        }
    );
}

#[test]
fn values_round_half_away_from_zero_and_overflow_to_null() {
    assert_eq!(from_text("1.005", MONEY), Read::Value(101));
    assert_eq!(from_text("-1.005", MONEY), Read::Value(-101));
    assert_eq!(from_text("1e3", MONEY), Read::Value(100_000));
    assert_eq!(from_text("99999999999", MONEY), Read::TooLarge);
    assert_eq!(from_text("1.2.3", MONEY), Read::Unreadable);
    let long = format!("{}e2147483647", "1".repeat(100));
    assert_eq!(from_text(&long, MONEY), Read::TooLarge);
    assert_eq!(from_text("1e-2147483648", MONEY), Read::Value(0));
    assert_eq!(
        divide(
            200,
            2,
            300,
            2,
            Shape {
                precision: 10,
                scale: 3
            }
        ),
        Some(667)
    );
    assert_eq!(
        divide(
            -200,
            2,
            300,
            2,
            Shape {
                precision: 10,
                scale: 3
            }
        ),
        Some(-667)
    );
    let wide = Shape {
        precision: 38,
        scale: 0,
    };
    assert_eq!(multiply(10i128.pow(30), 0, 10i128.pow(30), 0, wide), None);
    assert_eq!(to_text(-5, 2), "-0.05");
}

#[test]
fn the_short_way_and_the_long_way_agree() {
    let mut seed = 5u64;
    let mut next = move || {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        i128::from((seed >> 20) as i64) - (1 << 43)
    };
    for scale in 0..=12u8 {
        for _ in 0..500 {
            let (value, to) = (next() * next(), (next() & 7) as u8);
            let shape = Shape {
                precision: 30,
                scale: to,
            };
            let long = fit(i256::from_i128(value), scale, shape);
            assert_eq!(fit_small(value, scale, shape), long, "{value} {scale} {to}");
        }
    }
    for half in [5, -5, 15, -15, 4, -4, 0] {
        let shape = Shape {
            precision: 5,
            scale: 0,
        };
        assert_eq!(
            fit_small(half, 1, shape),
            fit(i256::from_i128(half), 1, shape)
        );
    }
}
