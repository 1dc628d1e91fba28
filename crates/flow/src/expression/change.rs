//! [pure] Assignment in place: members of objects, items of arrays.

use jaq_core::{Error, ValX, path};
use jaq_json::{Map, Rc, Val};

use super::budget::charge_items;
use super::render;
use super::value::{Value, absolute, whole};

/// The most items by which an assignment may lengthen an array.
const MAX_PADDING: usize = 100_000;

/// Changes the member of an object; makes it when it is not there.
pub(super) fn map_member<'a, I: Iterator<Item = ValX<'a, Value>>>(
    mut members: Rc<Map>,
    index: &Value,
    f: impl Fn(Value) -> I,
) -> ValX<'a, Value> {
    let map = Rc::make_mut(&mut members);
    let old = map.get_mut(&index.0).map(std::mem::take);
    let known = old.is_some();
    match f(Value(old.unwrap_or_default())).next().transpose()? {
        Some(new) => {
            map.insert(index.0.clone(), new.0);
        }
        None if known => {
            charge_items(map.len());
            map.shift_remove(&index.0);
        }
        None => {}
    }
    Ok(Value(Val::Obj(members)))
}

/// Changes the item of an array; lengthens the array when it is behind its end.
pub(super) fn map_item<'a, I: Iterator<Item = ValX<'a, Value>>>(
    mut items: Rc<Vec<Val>>,
    index: &Value,
    opt: path::Opt,
    f: impl Fn(Value) -> I,
) -> ValX<'a, Value> {
    let position = whole(&index.0).and_then(|at| absolute(at, items.len()));
    let Some(position) = position.filter(|at| *at < items.len() + MAX_PADDING) else {
        let message = format!("index {} is out of bounds", render::short(&index.0));
        return opt.fail(Value(Val::Arr(items)), |_| Error::str(message).into());
    };
    let list = Rc::make_mut(&mut items);
    let old = list.get_mut(position).map(std::mem::take);
    let known = old.is_some();
    match f(Value(old.unwrap_or_default())).next().transpose()? {
        Some(new) => {
            if !known {
                charge_items(position - list.len());
                list.resize(position + 1, Val::Null);
            }
            if let Some(place) = list.get_mut(position) {
                *place = new.0;
            }
        }
        None if known => {
            charge_items(list.len());
            list.remove(position);
        }
        None => {}
    }
    Ok(Value(Val::Arr(items)))
}
