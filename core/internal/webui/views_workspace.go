// SPDX-License-Identifier: Apache-2.0

package webui

// Invitation is what every view of an invitation shows. Token stands in its forms.
type Invitation struct {
	Token, Workspace, Inviter, InviterEmail, Email string
	Problems                                       []Problem
}

// Activate asks a person without an account for a name and a password.
type Activate struct {
	Invitation
	Name        string
	MinPassword int
}

// InviteSignIn asks for the sign-in of the person invited.
type InviteSignIn struct{ Invitation }

// InviteAnswer asks the person invited to accept or decline.
type InviteAnswer struct{ Invitation }

// Declined tells that an invitation was declined.
type Declined struct{}

// Member is a row of the members page. Changeable is one that the viewer may change.
type Member struct {
	ID, Name, Email, Role     string
	Pending, Self, Changeable bool
}

// Choice is one of several workspaces.
type Choice struct {
	ID, Name string
	Chosen   bool
}

// MembersDone names what was done on the members page.
type MembersDone string

// What the members page tells of.
const (
	RoleChanged   MembersDone = "role"
	MemberRemoved MembersDone = "removed"
	Switched      MembersDone = "switched"
)

// Known reports whether the page has words for it.
func (d MembersDone) Known() bool { return d == RoleChanged || d == MemberRemoved || d == Switched }

// Members lists who belongs to the current workspace; without one it has no Workspace.
type Members struct {
	WorkspaceID, Workspace, Role string
	// Manages offers what changes members.
	Manages bool
	Members []Member
	Page    int
	HasMore bool
	// Others are the person's workspaces when there are several.
	Others []Choice
	// Link is an invitation's, shown this once.
	Link, LinkFor string
	// Email and InviteRole are what was refused.
	Email, InviteRole string
	Problems          []Problem
	Done              MembersDone
}

// Before is the page of the list before this one, After the one behind.
func (m Members) Before() int { return m.Page - 1 }

// After is the next page of the list.
func (m Members) After() int { return m.Page + 1 }

// MemberAct is what is done to a member.
type MemberAct string

// The acts.
const (
	EditMember   MemberAct = "edit"
	RemoveMember MemberAct = "remove"
)

// MemberForm changes the role of a member, or asks once more before it removes them.
type MemberForm struct {
	Act                                MemberAct
	WorkspaceID, ID, Name, Email, Role string
	Problems                           []Problem
}

func (Activate) template() string     { return "activate" }
func (InviteSignIn) template() string { return "invite_signin" }
func (InviteAnswer) template() string { return "invite_answer" }
func (Declined) template() string     { return "declined" }
func (Members) template() string      { return "members" }
func (f MemberForm) template() string { return "member_" + string(f.Act) }
