//! Names and comments of columns, in English and in Chinese.

use super::super::mapping::Part;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Meaning {
    /// The row's key.
    Key,
    // Of everything.
    CorpId,
    DingId,
    Name,
    Code,
    Order,
    Status,
    Deleted,
    DeletedAt,
    CreatedAt,
    UpdatedAt,
    CreatedBy,
    UpdatedBy,
    // Of people.
    UnionId,
    Login,
    Password,
    Mobile,
    Telephone,
    Email,
    JobNumber,
    Title,
    HiredDate,
    GoneAt,
    MainDept,
    MainDeptName,
    Manager,
    WorkPlace,
    Avatar,
    // Of departments; mobile, e-mail and manager are the manager's.
    Parent,
    FullName,
    Ancestors,
    Level,
    // Of roles.
    GroupName,
    // Of memberships.
    Employee,
    Department,
    Role,
    IsLeader,
    IsMain,
}

use Meaning as M;

/// A meaning; names of columns that have it, in small letters and without underscores; what comments say of it.
pub(super) type Words = (Meaning, &'static str, &'static str);

/// The first that fits is taken, so what is more special comes first.
const ALL: &[Words] = &[
    (
        M::CreatedAt,
        "createtime createdat createdtime gmtcreate createdate createdon inserttime addtime",
        "创建时间 创建日期 录入时间",
    ),
    (
        M::UpdatedAt,
        "updatetime updatedat updatedtime gmtmodified gmtupdate modifytime modifiedtime modifiedat \
         updatedate lastmodified lastupdatetime",
        "更新时间 更新日期 修改时间 修改日期",
    ),
    (M::CreatedBy, "createby createdby creator createuser creatorname", "创建者 创建人 录入人"),
    (M::UpdatedBy, "updateby updatedby updater updateuser modifier modifyby", "更新者 更新人 修改人 修改者"),
    (M::DeletedAt, "deletedat deletetime deletedtime closedat removedat", "删除时间 撤销时间"),
    (M::Deleted, "delflag deleteflag deleted isdeleted isdel isdelete delstatus delstate", "删除 是否删除"),
    (
        M::Status,
        "status state enabled isenabled enable isactive active isvalid valid disabled isdisabled locked \
         islocked",
        "状态 账号状态 帐号状态 是否启用 是否有效 启用 停用",
    ),
    (M::CorpId, "corpid dingcorpid", "钉钉企业"),
    (M::UnionId, "unionid dingunionid dingtalkunionid", "unionid"),
    (
        M::DingId,
        "dinguserid dingid dingtalkid dingtalkuserid dduserid ddid dingdeptid dingdepartmentid \
         dingdepartid dingtalkdeptid dddeptid dingidentifier dingroleid",
        "钉钉 对接钉钉",
    ),
];

const EMPLOYEE: &[Words] = &[
    (M::Password, "password passwd pwd userpassword passwordhash salt passwordsalt", "密码 md5密码盐"),
    (
        M::JobNumber,
        "jobnumber jobno jobnum workno worknumber workcode empno empcode empnumber employeeno \
         employeecode employeenumber staffno staffcode usercode userno personno gonghao",
        "工号 员工编号 人员编号 员工号",
    ),
    (
        M::Mobile,
        "mobile phone phonenumber phoneno mobilephone mobileno mobilenumber cellphone contactphone shouji",
        "手机 移动电话",
    ),
    (
        M::Telephone,
        "telephone officephone officetel landline fixedphone worktel",
        "座机 办公电话 分机 固定电话",
    ),
    (M::Email, "email mail emailaddress", "邮箱 电子邮 邮件"),
    (
        M::HiredDate,
        "hiredate hireddate hiredon entrydate entrytime joindate jointime onboarddate onboardingdate \
         entryday employdate indate",
        "入职日期 入职时间",
    ),
    (
        M::GoneAt,
        "leavedate leavetime leftdate lefton leftat quitdate quittime resigndate dimissiondate",
        "离职日期 离职时间",
    ),
    (M::MainDeptName, "deptname departname departmentname orgname", "部门名称 所属部门名称"),
    (
        M::MainDept,
        "deptid departid departmentid orgid organizationid maindeptid unitid dept department",
        "部门 所属部门 主部门 所属机构 组织",
    ),
    (
        M::Manager,
        "managerid leaderid superiorid supervisorid directleaderid reportto reporttoid manager \
         managername leader leadername superior supervisor",
        "直属上级 直接上级 上级 直属主管 主管",
    ),
    (M::Title, "title jobtitle position positionname post postname duty job zhiwei", "职位 岗位 职务"),
    (M::WorkPlace, "workplace worklocation officelocation office", "办公地点 工作地点"),
    (M::Avatar, "avatar headimg headimage photo portrait avatarurl", "头像"),
    (
        M::Login,
        "username loginname loginid login account useraccount accountname loginaccount",
        "登录 用户账号 用户名 账号 帐号 登陆",
    ),
    (
        M::Name,
        "name realname nickname fullname truename displayname cnname chinesename xingming",
        "姓名 真实姓名 昵称 用户昵称 名字 员工姓名 用户姓名",
    ),
    (M::Mobile, "tel telno", "电话 联系电话"),
];

const DEPARTMENT: &[Words] = &[
    (
        M::Parent,
        "parentid pid parent parentdeptid parentorgid superiorid fatherid upid parentdept",
        "上级 父",
    ),
    (M::Ancestors, "ancestors ancestorids parentids idpath treepath pids", "祖级"),
    (M::FullName, "fullname fullpath path pathname deptpath namepath", "全路径 部门全路径 全称"),
    (M::Level, "level depth deptlevel treelevel orglevel", "层级 部门层级"),
    (
        M::Order,
        "ordernum orderno sort sortorder sortno sortnum displayorder seq order departorder rank showorder",
        "排序 显示顺序 顺序 序号",
    ),
    (
        M::Code,
        "code deptcode departcode departmentcode orgcode organizationcode deptno",
        "部门编码 机构编码 编码 部门代码",
    ),
    (
        M::Manager,
        "managerid leaderid principalid directorid leader manager principal director leadername \
         managername",
        "负责人 部门负责人 主管 部门主管 领导",
    ),
    (M::Mobile, "phone mobile tel telephone leaderphone phonenumber", "联系电话 电话 手机"),
    (M::Email, "email mail", "邮箱 电子邮"),
    (
        M::Name,
        "name deptname departname departmentname orgname organizationname unitname",
        "部门名称 机构名称 组织名称 机构、部门名称 机构/部门名称 名称",
    ),
];

const ROLE: &[Words] = &[
    (M::Code, "code rolecode rolekey roleno", "角色编码 权限字符 角色权限字符 编码 标识"),
    (M::GroupName, "groupname rolegroup", "角色组 分组"),
    (M::Name, "name rolename", "角色名 名称"),
];

const MEMBER: &[Words] = &[
    (M::IsLeader, "isleader leader ismanager isdirector ischarge", "是否主管 是否负责人 主管 负责人"),
    (M::IsMain, "ismain isprimary isdefault maindept main", "是否主 主部门 主职"),
    (M::Order, "sort sortorder ordernum seq", "排序 顺序"),
    (M::Employee, "userid empid employeeid staffid memberid personid accountid uid", "用户 员工 人员"),
    (M::Role, "roleid rid", "角色"),
    (M::Department, "deptid departid departmentid orgid depid organizationid", "部门 机构"),
    (M::Title, "title position post", "职位 职务"),
];

/// Names of which the comment says for certain what they hold.
pub(super) const AMBIGUOUS: &str =
    "name username code phone tel leader manager title usercode position path level";
/// Words in front of a column's name that say whose it is.
pub(super) fn prefixes(part: Part) -> &'static [&'static str] {
    match part {
        Part::Employee => &["employee", "emp", "user", "staff", "person", "member"],
        Part::Department => &["department", "depart", "dept", "organization", "org", "unit"],
        Part::Role => &["role"],
        Part::DepartmentMember | Part::RoleMember => &[],
    }
}

pub(super) fn words(part: Part) -> impl Iterator<Item = &'static Words> {
    let own = match part {
        Part::Employee => EMPLOYEE,
        Part::Department => DEPARTMENT,
        Part::Role => ROLE,
        Part::DepartmentMember | Part::RoleMember => MEMBER,
    };
    // What a membership has of these is no different from what a person has.
    ALL.iter().chain(own)
}

/// Whether a word is one of those that are written with spaces between them.
pub(super) fn listed(words: &str, word: &str) -> bool {
    words.split(' ').any(|known| known == word)
}
