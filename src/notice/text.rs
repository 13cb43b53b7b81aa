//! What is said, in Chinese, for a group of administrators. Counts and commands, nothing personal: whoever is in the group
//! reads it.

use super::decide::Said;
use super::observe::{Seen, Topic};

/// The message by which a robot is tried.
pub const TEST: &str = "【dingsync】测试消息：群机器人可以收到 dingsync 的通知。";

/// One message with everything that there is to say. The program's name is in it: a robot may ask for a keyword.
pub(super) fn message(corp: &str, sentences: &[String]) -> String {
    format!("【dingsync】{corp}\n{}", sentences.join("\n"))
}

/// What is said of a topic.
pub(super) fn sentence(seen: &Seen, said: Said) -> String {
    match said {
        Said::Over => format!("✔ 已恢复：{}", over(seen.topic)),
        Said::Is => format!("● {}", is(seen)),
        Said::Lasts => format!("● 仍未处理：{}", is(seen)),
    }
}

fn is(seen: &Seen) -> String {
    let amount = seen.amount;
    match seen.topic {
        Topic::Parked => {
            format!(
                "{amount} 个对象被搁置：钉钉拒绝给出，表中保留原值。请执行 dingsync tasks list --state parked 查看原因，处理后执行 dingsync tasks retry --parked。"
            )
        }
        Topic::Held => {
            format!(
                "删除保护拦下 {amount} 个删除，等待确认。请执行 dingsync reconcile --dry-run 查看，再 dingsync reconcile approve 或 discard。"
            )
        }
        Topic::Denied => {
            "钉钉拒绝本应用（凭证、权限点或出口 IP），同步暂停，事件照常入库。请执行 dingsync check。"
                .to_owned()
        }
        Topic::FieldsLost => {
            "字段权限似乎被收回（手机号或邮箱等个人信息），已存的值保留不变。请在开发者后台的权限管理中核对。"
                .to_owned()
        }
        Topic::Reconcile if seen.is_failed => {
            format!("对账失败（第 {amount} 次运行）。请看日志，并执行 dingsync reconcile。")
        }
        Topic::Reconcile => {
            format!(
                "对账只完成一部分（第 {amount} 次运行）：有内容读不到，读不到的部分不会删除任何数据。请执行 dingsync reconcile 查看。"
            )
        }
        Topic::OaParked => {
            format!(
                "{amount} 个对象未能写入 OA 表：OA 数据库拒绝，或被删除保护拦下（不再符合 when 的过多）。请执行 dingsync apply status 查看原因和处理办法。"
            )
        }
        Topic::OaTrouble => {
            "OA 表的写入已停止 5 分钟以上（数据库不可用，或语句与表不符），镜像照常更新，恢复后自动继续。请执行 dingsync apply status 查看原因。"
                .to_owned()
        }
        Topic::Recycled => {
            format!(
                "{amount} 个用过的 userid 以新人身份出现（钉钉把它给了别人，或其个人信息此前已抹除），对应行已重新写入。请核对 OA 中的关联账号。"
            )
        }
    }
}

fn over(topic: Topic) -> &'static str {
    match topic {
        Topic::Parked => "没有被搁置的对象。",
        Topic::Held => "没有等待确认的删除。",
        Topic::Denied => "钉钉恢复应答。",
        Topic::Reconcile => "最近一次对账已全部完成。",
        Topic::OaParked => "没有未能写入 OA 表的对象。",
        Topic::OaTrouble => "OA 表恢复写入。",
        // Nobody says of these that they are over.
        Topic::FieldsLost | Topic::Recycled => "",
    }
}
