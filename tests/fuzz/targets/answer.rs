//! Whatever DingTalk answers: a value that cannot be read fails neither its object nor its page.

#![no_main]

use dingsync::dingtalk::lenient;
use dingsync::dingtalk::model::{
    ChildDepartment, Department, MemberIds, Page, Person, RoleGroup, RoleMember, Scopes,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _person = lenient::from_slice::<Person>(bytes);
    let _department = lenient::from_slice::<Department>(bytes);
    let _child = lenient::from_slice::<ChildDepartment>(bytes);
    let _people = lenient::from_slice::<Page<Person>>(bytes);
    let _groups = lenient::from_slice::<Page<RoleGroup>>(bytes);
    let _members = lenient::from_slice::<Page<RoleMember>>(bytes);
    let _ids = lenient::from_slice::<MemberIds>(bytes);
    let _scopes = lenient::from_slice::<Scopes>(bytes);
});
