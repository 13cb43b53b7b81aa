//! Invented names, numbers and ids of the kinds that real organisations have.

use rand::RngExt as _;
use rand::seq::IndexedRandom as _;
use rand_chacha::ChaCha8Rng;

/// The generator behind everything that the simulator invents: seeded, so that a run can be repeated.
pub(crate) type Random = ChaCha8Rng;

const SURNAMES: [(&str, &str); 40] = [
    ("王", "wang"),
    ("李", "li"),
    ("张", "zhang"),
    ("刘", "liu"),
    ("陈", "chen"),
    ("杨", "yang"),
    ("赵", "zhao"),
    ("黄", "huang"),
    ("周", "zhou"),
    ("吴", "wu"),
    ("徐", "xu"),
    ("孙", "sun"),
    ("胡", "hu"),
    ("朱", "zhu"),
    ("高", "gao"),
    ("林", "lin"),
    ("何", "he"),
    ("郭", "guo"),
    ("马", "ma"),
    ("罗", "luo"),
    ("梁", "liang"),
    ("宋", "song"),
    ("郑", "zheng"),
    ("谢", "xie"),
    ("韩", "han"),
    ("唐", "tang"),
    ("冯", "feng"),
    ("于", "yu"),
    ("董", "dong"),
    ("萧", "xiao"),
    ("程", "cheng"),
    ("曹", "cao"),
    ("袁", "yuan"),
    ("邓", "deng"),
    ("许", "xu"),
    ("傅", "fu"),
    ("沈", "shen"),
    ("欧阳", "ouyang"),
    ("司马", "sima"),
    ("诸葛", "zhuge"),
];

const GIVEN: [(&str, &str); 48] = [
    ("伟", "wei"),
    ("芳", "fang"),
    ("娜", "na"),
    ("敏", "min"),
    ("静", "jing"),
    ("秀英", "xiuying"),
    ("丽", "li"),
    ("强", "qiang"),
    ("磊", "lei"),
    ("洋", "yang"),
    ("艳", "yan"),
    ("勇", "yong"),
    ("军", "jun"),
    ("杰", "jie"),
    ("娟", "juan"),
    ("涛", "tao"),
    ("超", "chao"),
    ("明", "ming"),
    ("霞", "xia"),
    ("秀兰", "xiulan"),
    ("刚", "gang"),
    ("平", "ping"),
    ("建国", "jianguo"),
    ("建华", "jianhua"),
    ("晓东", "xiaodong"),
    ("志强", "zhiqiang"),
    ("子涵", "zihan"),
    ("雨欣", "yuxin"),
    ("浩然", "haoran"),
    ("梓萱", "zixuan"),
    ("宇轩", "yuxuan"),
    ("思远", "siyuan"),
    ("佳怡", "jiayi"),
    ("文博", "wenbo"),
    ("海燕", "haiyan"),
    ("玉兰", "yulan"),
    ("春梅", "chunmei"),
    ("国庆", "guoqing"),
    ("立新", "lixin"),
    ("红", "hong"),
    ("鑫", "xin"),
    ("淼", "miao"),
    ("喆", "zhe"),
    ("祎", "yi"),
    ("翀", "chong"),
    ("嘉懿", "jiayi"),
    ("一诺", "yinuo"),
    ("若曦", "ruoxi"),
];

/// Names that trip up programs: characters outside the basic plane, middle dots, Latin letters, quotes, emoji.
const UNUSUAL: [&str; 12] = [
    "买买提·吐尔逊",
    "阿卜杜拉·艾合买提江",
    "𠮷田小百合",
    "王𬱖",
    "O'Brien Liam",
    "Müller Jürgen",
    "张三（外包）",
    "李\"老板\"四",
    "Sam Chen 陈",
    "小明😀",
    "赵 钱孙",
    "林\\路",
];

const REGIONS: [&str; 16] = [
    "华东", "华南", "华北", "华中", "西南", "西北", "东北", "上海", "北京", "深圳", "杭州", "成都", "武汉",
    "香港", "海外", "总部",
];

const DUTIES: [&str; 32] = [
    "研发",
    "销售",
    "市场",
    "财务",
    "人力资源",
    "行政",
    "法务",
    "采购",
    "仓储",
    "物流",
    "质检",
    "生产",
    "设备",
    "安环",
    "客服",
    "售后",
    "运营",
    "产品",
    "设计",
    "测试",
    "信息技术",
    "数据",
    "战略",
    "审计",
    "品牌",
    "培训",
    "党群",
    "工程",
    "项目",
    "海关",
    "结算",
    "风控",
];

/// Name endings by level, the company's own divisions first.
const LEVELS: [&[&str]; 5] = [
    &["事业群", "子公司", "中心"],
    &["事业部", "大区", "分公司"],
    &["部", "办事处", "工厂"],
    &["科", "车间", "室"],
    &["组", "班", "小队"],
];

const TITLES: [&str; 16] = [
    "工程师",
    "高级工程师",
    "经理",
    "总监",
    "专员",
    "主管",
    "助理",
    "会计",
    "出纳",
    "操作工",
    "班长",
    "司机",
    "设计师",
    "Account Manager",
    "实习生",
    "顾问",
];

const PLACES: [&str; 8] =
    ["杭州西溪", "上海张江", "北京望京", "深圳南山 3 号楼", "成都天府", "Hong Kong", "武汉光谷", "居家"];

fn pick<T: Copy>(random: &mut Random, pool: &[T], default: T) -> T {
    pool.choose(random).copied().unwrap_or(default)
}

/// A person's name with its spelling in Latin letters.
pub(crate) fn person(random: &mut Random) -> (String, String) {
    let (surname, surname_latin) = pick(random, &SURNAMES, SURNAMES[0]);
    let (given, given_latin) = pick(random, &GIVEN, GIVEN[0]);
    let latin = format!("{surname_latin}.{given_latin}");
    let name = if random.random_ratio(1, 60) {
        pick(random, &UNUSUAL, UNUSUAL[0]).to_owned()
    } else {
        format!("{surname}{given}")
    };
    (name, latin)
}

/// A department's name for its depth below the root. Has neither `-` nor a comma, which DingTalk refuses
/// (`contacts-api.md §4.2`).
pub(crate) fn department(random: &mut Random, depth: usize) -> String {
    let endings = LEVELS[depth.saturating_sub(1).min(LEVELS.len() - 1)];
    let duty = pick(random, &DUTIES, DUTIES[0]);
    let ending = pick(random, endings, endings[0]);
    match random.random_range(0..10) {
        0..4 => format!("{}{duty}{ending}", pick(random, &REGIONS, REGIONS[0])),
        4..6 => {
            format!("{duty}{ordinal}{ending}", ordinal = pick(random, &["一", "二", "三", "四", "五"], "一"))
        }
        6 => format!("{duty}{ending}（{}）", random.random_range(1..99)),
        _ => format!("{duty}{ending}"),
    }
}

/// A job title.
pub(crate) fn title(random: &mut Random) -> &'static str {
    pick(random, &TITLES, TITLES[0])
}

/// A place of work.
pub(crate) fn place(random: &mut Random) -> &'static str {
    pick(random, &PLACES, PLACES[0])
}

/// A role's name.
pub(crate) fn role(random: &mut Random) -> String {
    format!(
        "{}{}",
        pick(random, &DUTIES, DUTIES[0]),
        pick(random, &["负责人", "接口人", "审批人", "管理员", "联络员"], "接口人")
    )
}

/// A text of lower-case letters and digits.
pub(crate) fn alphanumeric(random: &mut Random, length: usize) -> String {
    const LETTERS: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    (0..length).map(|_| char::from(LETTERS[random.random_range(0..LETTERS.len())])).collect()
}

/// A text of letters of both cases and digits.
pub(crate) fn mixed_case(random: &mut Random, length: usize) -> String {
    const LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    (0..length).map(|_| char::from(LETTERS[random.random_range(0..LETTERS.len())])).collect()
}

/// A union id.
pub(crate) fn unionid(random: &mut Random) -> String {
    format!("{}iEiE", mixed_case(random, 18))
}

/// A userid in one of the styles that grow over an organisation's years. `number` keeps it unique.
pub(crate) fn userid(random: &mut Random, number: usize, latin: &str) -> String {
    // Two ids that differ in nothing but the case of a letter are two people.
    match number % 200 {
        7 => return format!("Pair{number}"),
        8 => return format!("pair{}", number - 1),
        _ => {}
    }
    match random.random_range(0..100) {
        0..35 => format!("{number:07}"),
        35..55 => format!("{:011}{number:07}", random.random_range(1_000_u64..10_000_000_000)),
        55..75 => format!("{}{number}", latin.replace('.', "")),
        75..85 => format!("u-{number}"),
        85..90 => format!("{latin}_{number}"),
        90..95 => format!("{:x}{number:06x}", random.random_range(1_u64 << 40..1 << 44)),
        95..99 => format!("A.{number}@hr"),
        _ => format!("{}{number:08}", alphanumeric(random, 56)),
    }
}

/// A mobile number of mainland China without its country's prefix. `number` keeps it unique.
pub(crate) fn mobile(number: usize) -> String {
    format!("1{:010}", 3_000_000_001 + number * 37)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use rand::SeedableRng as _;

    use super::*;

    #[test]
    fn userids_and_mobiles_are_unique_and_fit() {
        let mut random = Random::seed_from_u64(1);
        let (mut userids, mut mobiles) = (HashSet::new(), HashSet::new());
        for number in 0..20_000 {
            let userid = userid(&mut random, number, "zhang.wei");
            assert!(userid.len() <= 64, "{userid}");
            assert!(userids.insert(userid), "a userid was given twice");
            let mobile = mobile(number);
            assert_eq!(mobile.len(), 11);
            assert!(mobiles.insert(mobile), "a mobile was given twice");
        }
        assert!(userids.contains("Pair7") && userids.contains("pair7"));
    }
}
