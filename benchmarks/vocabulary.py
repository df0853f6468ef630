"""What the slots of a phrase are filled with: each list holds at least fifty entries, so that two rows rarely agree on all of theirs."""

from collections.abc import Mapping


def _entries(text: str) -> tuple[str, ...]:
    return tuple(" ".join(entry.split()) for entry in text.split("|"))


SYSTEMS = _entries("""
the payroll portal | the client database | the intranet | the booking calendar | the ticket queue | the invoice archive | the time sheet |
the stock system | the wiki | the scheduling tool | the learning platform | the travel desk page | the tax module | the document store |
the scan server | the survey tool | the remote desktop | the chat program | the whiteboard app | the phone system | the visitor register |
the parking app | the canteen page | the fleet planner | the lab journal | the case file viewer | the patient index | the claims system |
the purchase catalogue | the contract archive | the meeting planner | the map viewer | the drawing program | the statistics package | the
translation tool | the label printer software | the backup console | the dashboard | the newsletter editor | the donor list | the rota
page | the budget workbook | the test rig software | the forms portal | the signature service | the recruiting site | the alumni directory
| the image library | the grant register | the sensor console | the permit system | the quality log | the price list | the till software |
the loyalty database
""")

DEVICES = _entries("""
laptop | tablet | desk phone | headset | docking station | left monitor | label printer | scanner | projector | badge reader | webcam |
keyboard | trackpad | workstation | thin client | conference speaker | barcode gun | network switch | access point | external drive |
memory stick | card reader | cash drawer | plotter | smart board | company mobile | charging station | microphone | server rack | air
sensor | router | film scanner | signature pad | receipt printer | ring light | graphics card | mouse | camera | recorder | satellite
phone | power supply | spare battery | adapter | KVM box | handheld terminal | time clock | door panel | media player | cooling unit |
measuring head | blood pressure cuff | dictation device
""")

PLACES = _entries("""
Aberdeen | Antwerp | Bilbao | Bologna | Bordeaux | Bremen | Brno | Cardiff | Coimbra | Cork | Dresden | Dundee | Eindhoven | Exeter | Faro
| Gdańsk | Geneva | Ghent | Girona | Gothenburg | Graz | Grenoble | Haarlem | Innsbruck | Kaunas | Kraków | Leipzig | Liège | Lille | Linz
| Lleida | Ljubljana | Lübeck | Malmö | Münster | Nantes | Norwich | Odense | Ostrava | Padua | Plymouth | Poznań | Rennes | Riga |
Salamanca | Split | Stavanger | Tallinn | Tampere | Trieste | Turku | Utrecht | Valencia | Verona | Vigo | Zadar | Zürich | Šibenik
""")

TIMES = _entries("""
last Monday | last Tuesday | last Wednesday | last Thursday | last Friday | over the weekend | yesterday at noon | yesterday evening |
early this morning | just before lunch | an hour ago | two days ago | three days ago | five days ago | a week ago | ten days ago | a
fortnight ago | three weeks ago | a month ago | six weeks ago | two months ago | in the first week of January | at the end of January | in
mid February | on the last of February | at the start of March | around Easter | in the middle of April | on the first of May | in late
May | at Whitsun | in the first half of June | at midsummer | in early July | in the last days of July | in the heat of August | at the
end of the holidays | in September | on the third of October | in late October | at the start of November | in Advent | before Christmas |
between the years | on New Year's Day | during the night shift | after closing time | on my birthday | the day after the holiday | on my
first day | when the office reopened | during the storm | at the turn of the quarter
""")

DEADLINES = _entries("""
by tonight | by tomorrow morning | by noon tomorrow | within two days | by Wednesday | by Thursday noon | before Friday | before the
weekend | by Monday at nine | within a week | by the tenth | by the fifteenth | by the twentieth | before the end of the month | by the
first of next month | within a fortnight | within three weeks | before the quarter closes | by the end of the year | before Easter |
before the summer break | before the school holidays | by the end of October | before the audit | before the board meets | before my
flight leaves | before I move | before the course begins | before the lease starts | before the trial date | before the next shift | by
the time the shop opens | before the auditors come | before the inspection | before the fair opens | before the season starts | in time
for the wedding | in time for the hearing | in time for the operation | in time for the exam | before the offer lapses | before the
warranty ends | before the payday run | before the visitors arrive | by the middle of next week | by the day after tomorrow | before my
leave begins | before my boss returns | before the tax office asks | before the clocks change
""")

PEOPLE = _entries("""
my manager | our accountant | my sister | my brother | our trainee | the new colleague | my neighbour | our lawyer | my wife | my husband
| my flatmate | the landlord | the caretaker | the tenant upstairs | my aunt | my grandson | our treasurer | the site manager | my
daughter | my son | the school | the nursery | our supplier | a customer | the auditor | my tax adviser | the notary | the broker | our
driver | the night nurse | my physiotherapist | the pharmacist | our receptionist | the chairwoman | my business partner | the works
council | our head of sales | the project lead | my mentor | the estate agent | my cousin | the insurer | our cleaner | the electrician |
my carer | the trustee | the consulate | the union | my former boss | my stepmother | our intern | the lab assistant
""")

SHOPS = _entries("""
a bookshop | a petrol station | a garden centre | a bakery | a bicycle dealer | a hotel | a shoe shop | an online pharmacy | a furniture
store | a theatre | a ferry company | a garage | a florist | a music school | a car park | a cinema | a toy shop | an optician | a tailor
| a wine merchant | a phone provider | a gym | a streaming service | a fishmonger | a camping site | a stationer | a hardware store | a
railway kiosk | a vet | a swimming pool | a pet shop | a delicatessen | a travel agency | a jeweller | a laundry | a paint shop | a museum
shop | a ski rental | a language school | a farm shop | a record store | a tea house | a fabric shop | a pizza place | a cheese stall | an
antique dealer | a locksmith | a barber | a nursery garden | a board game café | a boat yard
""")

PRODUCTS = _entries("""
a washing machine | a gas cooker | a winter coat | a used van | a garden shed | a piano | a bicycle trailer | a heat pump | an electric
kettle | a set of tyres | a bunk bed | a solar panel | a hearing aid | a wedding dress | a dining table | a camera lens | a laptop bag | a
fitted kitchen | a leather sofa | a freezer | a tumble dryer | a surfboard | a violin | a pair of skis | a greenhouse | a stair lift | a
wood stove | a carpet | a baby carriage | a caravan | a watch | a fishing boat | an e-bike | a cargo bike | a lawn mower | a telescope | a
pair of glasses | a mattress | a dishwasher | an oak wardrobe | a coffee grinder | a sewing machine | a drum kit | a chandelier | a
mobility scooter | a snow blower | an espresso machine | a rowing machine | a projector screen | a hot tub | a roof box
""")

DOCUMENTS = _entries("""
the lease | my birth certificate | the purchase contract | the inspection report | the power of attorney | the land register extract | my
passport copy | the payslip | the medical report | the court order | the expert opinion | the invoice | the delivery note | the notice
letter | the insurance policy | my diploma | the residence card | the marriage certificate | the tax assessment | the building permit |
the handover protocol | the loan agreement | the minutes | the inventory | the warranty card | the doctor's letter | the police report |
the partnership deed | the will | the sworn statement | the quotation | the cancellation letter | the floor plan | the list of creditors |
my employment contract | the reference letter | the service agreement | the guarantee | the valuation | the share register | the reminder
| the school report | the vaccination card | the consent form | the discharge summary | the allergy record | the donor card | the care
plan | the cost estimate | the settlement offer | the side letter
""")

EVENTS = _entries("""
the office move | the system update | the power cut | the merger | the new rota | the change of provider | the renovation | the burst pipe
| my operation | the holiday | the birth of our child | the change of name | the flood | the audit | the reorganisation | the last
software release | the theft | my transfer to another team | the switch to the new network | the end of my probation | the strike | the
burglary | the separation | my move | the change of owner | the rent increase | the accident | the flu wave | the fire drill | the cable
works | the change of address | the new passport rule | the summer party | the migration | the change of tariff | the storm damage | the
lockout | the roof repair | the second vaccination | the fall on the stairs | the new contract | the last inspection | the closing of our
branch | the fiscal year end | the password change | the card renewal | the death of my father | the bankruptcy of the builder | the tax
audit | the stay in hospital | the training week
""")

COMPLAINTS = _entries("""
lower back pain | a stiff neck | a rash on both arms | a dry cough | ringing in my ears | a swollen ankle | stomach cramps | a sore throat
| migraine | numb fingers | a painful hip | heartburn | hay fever | a racing heart | dizzy spells | poor sleep | an itchy scalp | blurred
vision | a blocked nose | a tight chest | night sweats | a twisted knee | tennis elbow | toothache | an ingrown nail | a mole that has
changed | cold feet | a frozen shoulder | bleeding gums | hip pain at night | shaky hands | constant thirst | a lump behind the ear | hot
flushes | cramp in my calf | a burning tongue | joint pain | a fever that returns | low mood | a hoarse voice | weight loss | swollen
glands | an earache | sunburn with blisters | a tick bite | a wound that will not close | a nosebleed each morning | high blood pressure |
shortness of breath | panic attacks | a stye
""")

MEDICINES = _entries("""
amoxicillin | metformin | ramipril | bisoprolol | levothyroxine | omeprazole | salbutamol | simvastatin | sertraline | ibuprofen |
paracetamol | prednisolone | warfarin | furosemide | amlodipine | losartan | gabapentin | citalopram | insulin glargine | methotrexate |
lisinopril | candesartan | pantoprazole | doxycycline | clarithromycin | diazepam | tramadol | naproxen | cetirizine | montelukast |
budesonide | tamsulosin | allopurinol | clopidogrel | apixaban | folic acid | vitamin D drops | iron tablets | lamotrigine | quetiapine |
mirtazapine | venlafaxine | propranolol | digoxin | spironolactone | hydrocortisone cream | nystatin | aciclovir | mesalazine |
azathioprine | estradiol
""")

ERRORS = _entries("""
access denied | session expired | file is locked by another user | the request timed out | unknown certificate | licence not found | disk
quota exceeded | invalid token | host unreachable | the profile could not be loaded | unsupported format | device not ready | network path
not found | checksum mismatch | the service is unavailable | please contact your administrator | address already in use | missing template
| template version too old | cannot read the header | name resolution failed | the page has moved | too many attempts | the form is
incomplete | driver blocked | no route configured | read only volume | out of memory | the queue is paused | key not accepted | the record
is in use | duplicate entry | the value is out of range | upload rejected | no default gateway | proxy refused the connection | the
printer is offline | tray not detected | calibration needed | signature invalid | update pending | rollback failed | the mailbox is full |
recipient rejected | invalid cell reference | the index is damaged | sync is paused | policy violation | permission required | the clock
is out of step | unexpected end of data
""")

FIRST_NAMES = _entries("""
Ada | Alba | Amira | Anton | Ayşe | Bashir | Beatriz | Bjørn | Carla | Cillian | Dalia | Dmitri | Edda | Elif | Emeka | Esther | Fatou |
Felix | Gaia | Goran | Hana | Henrik | Ines | Ivo | Jana | Jorge | Kaisa | Kofi | Laila | Leif | Lucía | Magda | Marek | Mei | Milan |
Nadia | Nils | Olga | Otto | Paloma | Pavel | Priya | Quentin | Rafał | Rosa | Samir | Signe | Tariq | Tove | Uwe | Vera | Viktor | Wanda
| Xavier | Yara | Yusuf | Zofia | Zoran
""")

LAST_NAMES = _entries("""
Abreu | Adeyemi | Bakker | Baran | Castell | Cermak | Dahl | Duarte | Eriksen | Esposito | Farkas | Ferrer | Gallego | Grabowski | Haas |
Horvat | Iglesias | Ito | Jansen | Jovanović | Kaya | Kowal | Lindqvist | Lopes | Marchetti | Moreau | Nagy | Nowak | Núñez | Okafor |
Oliveira | Petrov | Pires | Quist | Ribeiro | Rossi | Sandoval | Schreiber | Şahin | Tamm | Teixeira | Ulrich | Urban | Varga | Vidal |
Weber | Wójcik | Xiang | Yilmaz | Young | Zanetti | Zeman
""")

AMOUNTS = tuple(f"{18 + (1237 * step) % 4900}.{(29 * step) % 100:02d} euros" for step in range(400))
"""Four hundred amounts between 18 and 4,918 euros, in no order; all differ, since 1,237 and 4,900 have no common factor."""

SLOTS: Mapping[str, tuple[str, ...]] = {
    "system": SYSTEMS,
    "device": DEVICES,
    "place": PLACES,
    "time": TIMES,
    "deadline": DEADLINES,
    "person": PEOPLE,
    "shop": SHOPS,
    "product": PRODUCTS,
    "document": DOCUMENTS,
    "event": EVENTS,
    "complaint": COMPLAINTS,
    "medicine": MEDICINES,
    "error": ERRORS,
    "first": FIRST_NAMES,
    "last": LAST_NAMES,
    "amount": AMOUNTS,
}
"""What `{system}`, `{place}` and the others stand for in a phrase."""
