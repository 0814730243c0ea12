"""Word lists of the sentence splitters: abbreviations and common sentence starters by language.

The lists are short and closed, contain forms that no ordinary word shares, and are sorted by what may follow. A word
that is also an ordinary one ("no.", "art.") counts only before a number. The cost: a rare abbreviation before a capital
still ends a sentence, and languages without a list use only the rules for initials and small letters.
"""

from dataclasses import dataclass
from functools import cache

_NEVER = {
    "": "cf vs",
    "en": """
        a.k.a adm aka approx asst attn brig c ca capt cdr cmdr col comdr cpl dr e.g esp Fr gen gov Hon i.a i.e incl
        insp lieut lt maj messrs mgr mlle mme mr mrs ms msgr mt n.b pfc pres prof pron pvt q.v Rep rt sen sgt spp ssp
        subsp supt Ven viz
    """,
    "de": """
        abgek ahd allg altgriech angebl arab aram ausschl bayer bayr bearb begr bes betr bez bezügl bzgl bzw ca chin
        d.h d.i dergl ders dim dipl dr dt dän ebd ehem eigentl eigtl einschl engl entspr erg estn etym ev evang evtl
        exkl franz frk frz fürstl geb gebr geg gegr gem germ gesch gest ggf ggü griech hebr hist hl hll hrsg hrsgg
        i.d.r indogerm inkl insb insbes ital jap jur jüd kaiserl kath kelt kgl kgr kroat kurf königl lat lett lic lit
        lt luth ländl mdl med mgr mhd mind mittelhochdt mlat mnd nat niederl nordd norweg nördl o.g o.ä od offiz orig
        osman ostd pers Pfr poln port preuß prof prot rel rer resp rumän russ röm s.a s.o s.u sanskr schwed schweiz
        serb skr slaw slow slowak slowen sog sogen sorb span spez spätlat staatl stellv städt südd südl techn theol
        tschech türk u.a u.ä ugs ukrain ung ungar urspr v.a verh verm versch verst vgl vorl westl wiss wörtl z.b z.t
        z.zt zool zus zzgl zzt ähnl österr östl
    """,
    "it": """
        abl acc all.to ar arch arciv avv b.ta bibl c ca cap.no capt card cav cfr cir cod col com comm cons cosid d.ssa
        dir dott dott.ssa dr ebr es f.lli fam fr franc frat fraz gen geom giapp gr illmo imp ing ingl isp lat lett lgt
        loc m.llo magg mgr mod mons mr mrs nob norv on orig p.es pers ph pref pres presb prof prof.ssa prov rag rev
        rus russ s.a.r s.e s.m s.ta s.te s.to sac seg segg sen serg sig sig.na sig.ra sigg sigra spagn ss.mo st ted
        ten tosc uff ved ven venez vesc
    """,
    "fr": """
        adj anc angl ap av c-à-d c.-à-d ca capt cf chap cie cne col comm dr env esp exp gal gén ital lat lieut litt lt
        M mgr mlle mlles mm mme mmes mr p.ex pr prof resp st ste vve
    """,
}  # fmt: skip
"""Abbreviations that never end a sentence, because something always follows: titles, "e.g.", "cf."."""

_SELDOM = {
    "": "al bros co corp inc jr ltd sr",
    "en": """
        a.d a.m abbr Ala Ariz Ark assn assoc ave b.a b.c b.c.e b.s blvd c.e Calif cir cit Colo Ct cv d.c dept dist div
        ed eds eng esq est ext Fed Fla Ga Ger Gk Gr hwy Ill intl Ital jct Lat lit m.a m.d Mich Minn mts occ p.m Penn
        ph.d phil plc Pte pty Pub rd repr Repub rev Sav sp st ste subg Tenn tr trans u.k u.n u.s u.s.a univ usu var vt
        Wis
    """,
    "de": """
        a.d abk abt adj anat anm Apg astron aufl ausf ausg bd bde biol bot bspw buchst chem chr Corr dgl Dtn eidg Eph
        etc Ex f ff finn fol forts Gal gen ges gmbh greg h Hebr hg hptm hs hss insges jahrh Jes jg jh jhd jhdt jhs Joh
        jul kap kl Kol Kor kt Kön Lev lk lkr ltd m.a math Met mill mio Mk Mos mrd mskr Mt n.br n.chr ndr Num o.j o.o
        obb Offb Pf phil Phys pkt Poet pol Ps rd Rhet Röm s.a Sam soz st std str sv t.z Thess Tim tsd u.s u.s.a u.v.a
        u.v.m usf usw uvm v.chr wg z.z zs
    """,
    "it": """
        a.c a.d abbr accr anon b.c c.so cd circ cit co.ge d.c ed edd fasc h ibid id it kmq lib mar op.cit p.za p.zza
        par rist s.p.a s.r.l sec secc sgg sogg SPA spp SS suppl trad trim v.le v.lo vv
    """,
    "fr": """
        ann arr av.j.-c coll dir dép dépt ed env hist ibid id j.-c op.cit s.a s.a.r.l s.d s.l sq sqq ss suiv suppl
        trad tél univ éd
    """,
}  # fmt: skip
"""Abbreviations that end a sentence only before a common sentence starter: "Inc.", "p.m."."""

_NUMBERED = {
    "": "apr aug dec feb fig jan jul jun max min no nov nr oct op p pp sep sept vol vols",
    "en": "Art Arts b bk bks ch chap chaps chs d eq eqs figs fl fn mar no nos para pl pt pts r sec secs ser ver",
    "de": """
        abb abs abschn anh anm art az bd bde bl bsp buchst dez fol h jg kap lfg mai mrz mär nov nrn okt pos rn rz s
        sig sp tab taf teilbd tl v z ziff
    """,
    "it": """
        ago ann art artt cap capp col dic fasc febbr figg giu giugn lug mag n nn num opp ott pag pagg rif ser sett tab
        tav tavv tel tit tom tomo v ver voll vv
    """,
    "fr": "art avr chap déc févr janv juil liv n no nos num pag t tab tom tél",
}  # fmt: skip
"""Abbreviations only before a number."""

_STARTERS = {
    "en": """
        A About Above According Additionally After Again Alternatively Although Among Amongst An And Another Any As At
        Because Before Besides Between Beyond Both But By Consequently Conversely Critics Despite Due During Each
        Earlier Early Either Eventually Every Everyone Few Finally First Following For Formerly From Further
        Furthermore Generally Given Had Has Having He Hence Her Here His How However If Immediately In Initially
        Instead Is It Its Just Last Late Later Less Like Likewise Many Meanwhile More Moreover Most Much My Nearby
        Neither Nevertheless No Nor Not Notable Nothing Now Occasionally Of Often On Once Only Originally Other Others
        Our Out Over Overall Part People Perhaps Previously Prior Recently Several She Shortly Similarly Since So Some
        Soon Specifically Still Subsequently Such Than That The Their Then There Thereafter Therefore These They This
        Those Though Through Throughout Thus To Today Together Toward Towards Typically Ultimately Unlike Until Upon
        Usually Was We Were What When Where Whereas Whether Which While Who Whose Why With Within Without Yet You Your
    """,
    "de": """
        Aber Alle Allerdings Als Also Am An Andere Anders Anfang Anfangs Anschließend Auch Auf Aufgrund Aus Außer
        Außerdem Bei Beide Beim Bereits Bis Bisher Da Dabei Dadurch Dafür Dagegen Daher Damals Damit Danach Daneben
        Dann Daran Darauf Daraus Darin Darunter Darüber Das Dass Davon Davor Dazu Dem Den Denn Dennoch Der Deren
        Derzeit Des Deshalb Dessen Deswegen Die Dies Diese Diesem Diesen Dieser Dieses Doch Dort Durch Ebenfalls
        Ebenso Ein Eine Einem Einen Einer Eines Einige Er Erst Erstmals Es Etwa Für Gegen Gemeinsam Gleichzeitig Heute
        Hier Hierbei Hierzu Ich Ihm Ihn Ihr Ihre Ihrem Ihren Ihrer Im Immer In Ins Insbesondere Insgesamt Ist Jede
        Jeder Jedes Jedoch Kurz Man Manche Mehrere Mit Nach Nachdem Nachfolger Neben Nicht Noch Nun Nur Ob Obwohl Oft
        Ohne Schließlich Schon Sein Seine Seinem Seinen Seiner Seit Seitdem Sie Sind So Sobald Solche Somit Sondern
        Sonst Sowohl Später Trotz Trotzdem Um Und Unter Unterhalb Viele Vielmehr Vom Von Vor War Waren Was Weder Wegen
        Weil Weiter Weitere Weiterhin Welche Wenn Wer Werden Wie Wieder Wird Wo Wobei Wurde Wurden Während Zu Zudem
        Zum Zunächst Zur Zusammen Zuvor Zwar Zwischen Über
    """,
    "it": """
        A Ad Agli Al Alcune Alcuni All Alla Alle Allo Anche Ancora Attualmente Che Chi Ci Col Come Con Contro Così Da
        Dagli Dai Dal Dall Dalla Dalle Degli Dei Del Dell Della Delle Dello Di Dopo Dove Due Durante E Ebbe Ed Egli
        Ella Entrambi Era Erano Essa Esse Essi Esso Fino Fra Fu Furono Gli Grazie Ha Hanno I Il In Infatti Infine
        Inizialmente Inoltre Invece L La Le Lo Loro Lui Ma Mentre Molte Molti Negli Nei Nel Nell Nella Nelle Nello Non
        Nonostante Oggi Ogni Ora Per Perché Perciò Però Poi Poiché Prima Pur Qualche Quando Quasi Quella Quelle Quelli
        Quello Questa Queste Questi Questo Qui Quindi Se Sebbene Secondo Sempre Si Sia Sono Sopra Sotto Spesso Su Sua
        Successivamente Sue Sugli Sui Sul Sulla Sulle Sullo Suo Suoi Tale Tali Tra Tre Tuttavia Tutte Tutti Un Una Uno
        Venne Vennero Verso Vi È
    """,
    "fr": """
        A Ainsi Alors Après Au Aucun Aucune Aujourd Auparavant Aussi Autour Aux Avant Avec Beaucoup Bien C Ce Ceci
        Cela Celle Celui Ces Cet Cette Ceux Chaque Chez Comme Contrairement D Dans De Depuis Dernier Des Deux Dont Du
        Durant Dès Elle Elles En Enfin Ensuite Entre Est Et Finalement Grâce Il Ils J Je Jusqu L La Le Les Leur Leurs
        Lors Lorsqu Lorsque Lui Mais Malgré Même N Ne Ni Notamment Nous On Or Ou Outre Où Par Parallèlement Parfois
        Parmi Pendant Plus Plusieurs Pour Pourtant Puis Puisque Qu Quand Quant Quatre Que Quelques Qui Quoique S Sa
        Sans Se Selon Ses Seul Si Situé Située Son Sous Souvent Suite Sur Tandis Tous Tout Toute Toutefois Toutes
        Trois Très Un Une Vers Voici Y À Étant
    """,
}  # fmt: skip
"""Words that often begin sentences and almost never names."""

_UNITS = "cm dm ft hp hrs kg km lb lbs m mm mph nm ppb ppm rpm"
"""Units, read as ordinary words: "5 km." ends a sentence."""

ORDINALS = frozenset({"de", "als", "bar", "lb", "nds", "gsw"})
"""Languages that write "3. Oktober", "Ludwig XIV."; a number before a capital rarely ends a sentence there."""


@dataclass(frozen=True, slots=True)
class Abbreviations:
    """The lists of one language; words as in text, without their last full stop."""

    never: frozenset[str]
    seldom: frozenset[str]
    numbered: frozenset[str]
    units: frozenset[str]
    starters: frozenset[str]
    own: bool
    """Whether the language has lists of its own."""


@cache
def abbreviations(language: str) -> Abbreviations:
    """Return the lists of a language, including those that all languages share."""
    never, seldom, numbered = (_forms(each, language) for each in (_NEVER, _SELDOM, _NUMBERED))
    units = frozenset(_UNITS.split()) - never
    starters = frozenset(_STARTERS.get(language, "").split())
    return Abbreviations(
        never, seldom - never, numbered - never, units, starters, bool(language) and language in _NEVER
    )


def _forms(lists: dict[str, str], language: str) -> frozenset[str]:
    words = f"{lists['']} {lists.get(language, '')}".split()
    return frozenset(words) | {word[0].upper() + word[1:] for word in words if len(word) > 1}
